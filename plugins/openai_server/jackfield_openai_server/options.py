"""The settings of the server: `[options.serve]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError

AUTO, NONE = "auto", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The address of the server, its limits, and its waiting times."""

    host: str = "127.0.0.1"  # with 0.0.0.0 other machines can reach it
    port: int = 8000  # 0: a free port, which is printed
    names: tuple[str, ...] = ()  # names by which clients may call the model; none: its reference
    api_keys_file: str | None = None  # TOML with a table for each key; see docs/serving.md
    root_path: str = ""  # prefix of every path, if a proxy cuts it off
    allow_origins: tuple[str, ...] = ()  # origins of pages whose scripts may call (CORS)
    tls_certificate: str | None = None  # file
    tls_key: str | None = None  # file
    max_body_bytes: int = 16 << 20  # most bytes of one request
    max_header_bytes: int = 64 << 10  # most bytes of its first line and headers
    max_queued_requests: int | None = 4096  # most requests without a token; further ones get 503
    max_queued_tokens: int | None = None  # most tokens of their prompts together
    request_timeout_s: float | None = None  # for a whole answer; a client can ask for less
    read_timeout_s: float = 60.0  # for a client that does not send the rest of its request
    write_timeout_s: float = 60.0  # for a client that does not read
    stall_s: float = 60.0  # time without a step while requests wait, after which /health reports it
    drain_s: float = 30.0  # for open answers after SIGTERM
    max_stored_responses: int = 1024  # responses of /v1/responses that are stored; 0: none
    tool_parser: str = AUTO  # auto: the parser that knows the model's format; none; or a name
    reasoning_parser: str = AUTO
    chat_template: str | None = None  # a file to use instead of the model's template
    template_timeout_s: float = 5.0  # for the chat template of one request
    # True: clients may send a chat template, which runs in a sandbox.
    request_templates: bool = True
    log_requests: bool = False  # true: a line for each request, without its text
    log_format: str = "text"  # text, or json: one object a line
    # Several models instead of one: "NAME=FILE". Each file is a config of its own (model.reference, ...).
    models: tuple[str, ...] = ()
    max_loaded_models: int | None = None  # most models in memory; None: all
    models_memory_bytes: int | None = None  # memory of all engines' processes together
    admin: bool = False  # true: /admin/models can load and unload models
    ui: bool = False  # true: /ui is a page to chat
    # Plugins whose paths are active; an installed plugin is not active by itself.
    endpoints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"options.serve.port must be from 0 to 65535, got {self.port}")
        if self.log_format not in ("text", "json"):
            raise ConfigError(
                f"options.serve.log_format must be text or json, got {self.log_format!r}"
            )
        for entry in self.models:
            if not all(entry.partition("=")):
                raise ConfigError(f"options.serve.models takes NAME=FILE, got {entry!r}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError(
                "options.serve.tls_certificate and tls_key belong together; give both or none"
            )
        for name in ("read_timeout_s", "write_timeout_s", "stall_s", "template_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"options.serve.{name} must be above 0, got {getattr(self, name)}"
                )
