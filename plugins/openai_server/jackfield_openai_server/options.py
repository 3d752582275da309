"""The settings of the server: `[options.serve]` in a config."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError

AUTO, NONE = "auto", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Where the server listens, what it lets in, and how long it waits."""

    host: str = "127.0.0.1"  # other machines reach it on 0.0.0.0
    port: int = 8000  # 0: a free one, which is printed
    names: tuple[str, ...] = ()  # that clients may call the model by; none: its reference
    api_keys_file: str | None = None  # TOML: a table for each key, see docs/serving.md
    root_path: str = ""  # in front of every path, where a proxy cuts it off
    allow_origins: tuple[str, ...] = ()  # of pages whose scripts may call (CORS)
    tls_certificate: str | None = None  # file
    tls_key: str | None = None  # file
    max_body_bytes: int = 16 << 20  # of one request
    max_queued_requests: int | None = 4096  # that have no token yet; one more is answered 503
    max_queued_tokens: int | None = None  # of their prompts together
    request_timeout_s: float | None = None  # for a whole answer; clients can ask for less
    write_timeout_s: float = 60.0  # for a client that reads nothing
    stall_s: float = 60.0  # without a step while requests wait, after which /health says so
    drain_s: float = 30.0  # for answers under way after SIGTERM
    max_stored_responses: int = 1024  # of /v1/responses, to go on with; 0: none
    tool_parser: str = AUTO  # auto: the one that knows the model's format; none; or a name
    reasoning_parser: str = AUTO
    chat_template: str | None = None  # a file, instead of the model's own
    template_timeout_s: float = 5.0  # for the chat template of one request
    request_templates: bool = True  # clients may send a chat template; it runs in a sandbox
    log_requests: bool = False  # a line for each, without its text
    log_format: str = "text"  # or json: one object a line
    # Several models instead of one: "NAME=FILE", each file a config of its own (model.reference, ...).
    models: tuple[str, ...] = ()
    max_loaded_models: int | None = None  # at once; None: as many as there are
    models_memory_bytes: int | None = None  # of the engines' processes together
    admin: bool = False  # /admin/models loads and unloads
    ui: bool = False  # a page at /ui
    endpoints: tuple[str, ...] = ()  # plugins that add paths; installed is not enough

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
        for name in ("write_timeout_s", "stall_s", "template_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"options.serve.{name} must be above 0, got {getattr(self, name)}"
                )
