"""The arguments of `jackfield serve`: short forms of settings, with the names that they have in `vllm serve`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Alias:
    """An option that is a short form of a setting."""

    option: str
    key: str  # key of the setting
    help: str
    metavar: str = "N"
    is_list: bool = False  # takes several words
    fixed: str | None = None  # value of a flag without an argument
    short: str | None = None  # the option in short


_ADAPTERS = "adapters"  # a whole section, in which each name is a key
SERVER = (
    Alias("--host", "options.serve.host", "address to listen on; 0.0.0.0 for all", "ADDRESS"),
    Alias("--port", "options.serve.port", "port to listen on; 0 for a free one"),
    Alias(
        "--served-model-name", "options.serve.names", "what clients call the model", "NAME", True
    ),
    Alias("--api-keys-file", "options.serve.api_keys_file", "keys with names and limits", "FILE"),
    Alias("--root-path", "options.serve.root_path", "in front of every path", "PATH"),
    Alias("--allowed-origins", "options.serve.allow_origins", "for CORS", "ORIGIN", True),
    Alias("--ssl-certfile", "options.serve.tls_certificate", "TLS certificate", "FILE"),
    Alias("--ssl-keyfile", "options.serve.tls_key", "its key", "FILE"),
    Alias("--chat-template", "options.serve.chat_template", "instead of the model's", "FILE"),
    Alias("--tool-call-parser", "options.serve.tool_parser", "auto, none or a name", "NAME"),
    Alias("--reasoning-parser", "options.serve.reasoning_parser", "auto, none or a name", "NAME"),
    Alias("--max-num-queued-reqs", "options.serve.max_queued_requests", "one more gets 503"),
    Alias("--max-num-queued-tokens", "options.serve.max_queued_tokens", "of waiting prompts"),
    Alias("--shutdown-timeout", "options.serve.drain_s", "for open answers after SIGTERM", "S"),
    Alias("--log-format", "options.serve.log_format", "text or json", "NAME"),
    Alias("--ui", "options.serve.ui", "a page to chat and to watch the engine", fixed="true"),
    Alias("--enable-log-requests", "options.serve.log_requests", "a line for each", fixed="true"),
    Alias("--no-enable-log-requests", "options.serve.log_requests", "no lines", fixed="false"),
    Alias("--disable-log-requests", "options.serve.log_requests", "no lines", fixed="false"),
)
ENGINE = (
    Alias("--max-model-len", "model.max_length", "tokens of one request, prompt and output"),
    Alias("--tokenizer", "model.tokenizer", "of another model", "MODEL"),
    Alias("--revision", "model.revision", "branch, tag or commit", "NAME"),
    Alias("--seed", "model.seed", "of requests that bring none"),
    Alias(
        "--tensor-parallel-size",
        "executor.tensor_parallel",
        "ranks that share each layer",
        short="-tp",
    ),
    Alias(
        "--pipeline-parallel-size", "executor.pipeline_parallel", "stages of layers", short="-pp"
    ),
    Alias(
        "--enable-expert-parallel", "executor.expert_parallel", "share out experts", fixed="true"
    ),
    Alias("--max-num-seqs", "scheduler.max_rows", "requests that run at once"),
    Alias("--max-num-batched-tokens", "scheduler.max_step_tokens", "tokens of one step"),
    Alias("--long-prefill-token-threshold", "scheduler.long_prefill_tokens", "of one request"),
    Alias("--watermark", "scheduler.watermark", "of the blocks, kept free at admission", "F"),
    Alias("--scheduling-policy", "select.scheduler", "fcfs, priority or another", "NAME"),
    Alias(
        "--gpu-memory-utilization", "cache.memory_fraction", "of free memory, for the cache", "F"
    ),
    Alias("--kv-cache-memory-bytes", "cache.memory_bytes", "size of the cache on each rank"),
    Alias("--num-gpu-blocks-override", "cache.num_blocks", "blocks of the cache"),
    Alias("--block-size", "cache.block_size", "tokens of a block"),
    Alias("--kv-cache-dtype", "cache.dtype", "of keys and values", "NAME"),
    Alias("--enable-prefix-caching", "cache.prefix_caching", "the default", fixed="true"),
    Alias("--no-enable-prefix-caching", "cache.prefix_caching", "share nothing", fixed="false"),
    Alias("--attention-backend", "select.attention", "instead of the preferred one", "NAME"),
    Alias("--enable-lora", "select.adapters", "take adapters at run time", fixed="lora"),
    Alias("--lora-modules", _ADAPTERS, "adapters", "NAME=FOLDER", True),
    Alias("--max-loras", "options.lora.max_adapters", "adapters at once"),
    Alias("--max-lora-rank", "options.lora.max_rank", "largest rank of an adapter"),
)
# Options of `vllm serve` that are accepted without effect: our default does the same, or they have no meaning here.
TAKEN = {
    "--enable-chunked-prefill": "always on",
    "--enable-auto-tool-choice": "on where a tool parser knows the model's format",
    "--async-scheduling": "always on",
    "--enable-prompt-tokens-details": "always told",
    "--disable-uvicorn-access-log": "there is none",
    "--disable-log-stats": "none are logged; /metrics has them",
}
# Options of `vllm serve` that are refused, with what to do instead.
REFUSED = {
    "--api-key": "--api-key would stand in the list of processes, where every user of the machine reads it. Set the "
    "environment variable JACKFIELD_API_KEY, or name a file with --api-keys-file",
    "--trust-remote-code": "--trust-remote-code is refused: no code of a model is ever run. What an architecture needs "
    "comes from an installed plugin; `jackfield models` and docs/models.md list the architectures",
    "--load-format": "--load-format is not needed: the format is known from the files. --set select.weight_format=NAME "
    "asks for one, e.g. dummy",
    "--enforce-eager": "--enforce-eager is --set options.cuda.graphs=false here, options.rocm.graphs on ROCm",
    "--speculative-config": "--speculative-config is --set select.speculator=NAME --set speculation.num_tokens=N here",
    "--data-parallel-size": "--data-parallel-size is not served: start one server for each replica, with a load balancer "
    "in front",
}


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    _add(parser, "server", SERVER)
    add_engine_arguments(parser)
    others = parser.add_argument_group("taken for those who know vllm serve")
    for option, text in TAKEN.items():
        others.add_argument(option, action="store_true", help=text)
    for option in REFUSED:
        others.add_argument(
            option, nargs="?", const=True, metavar="X", help="refused: says what to do instead"
        )


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare only the arguments of the engine."""
    _add(parser, "engine", ENGINE)


def _add(parser: argparse.ArgumentParser, title: str, aliases: tuple[Alias, ...]) -> None:
    group = parser.add_argument_group(title)
    for alias in aliases:
        text = f"{alias.help} ({alias.key})"
        options = [alias.option] if alias.short is None else [alias.option, alias.short]
        if alias.fixed is not None:
            group.add_argument(
                *options, dest=alias.key, action="store_const", const=alias.fixed, help=text
            )
        else:
            group.add_argument(
                *options,
                dest=alias.key,
                metavar=alias.metavar,
                help=text,
                nargs="+" if alias.is_list else None,
            )


def _adapter(entry: str) -> tuple[str, str]:
    """The setting of an adapter: NAME=FOLDER, or a JSON object with name and path. Raises ConfigError."""
    name, equals, folder = entry.partition("=")
    if entry.startswith("{"):
        try:
            values = json.loads(entry)
            name, equals, folder = values["name"], "=", values["path"]
        except (ValueError, KeyError, TypeError):
            equals = ""
    if not equals or not name or not folder:
        raise ConfigError(
            f'--lora-modules takes NAME=FOLDER or {{"name": ..., "path": ...}}, got {entry!r}'
        )
    return f"{_ADAPTERS}.{name}", folder


def settings_of(arguments: argparse.Namespace) -> Mapping[str, str]:
    """The settings in the arguments, "section.key" to text. Raises ConfigError."""
    for option, text in REFUSED.items():
        if getattr(arguments, option[2:].replace("-", "_"), None) is not None:
            raise ConfigError(text)
    found: dict[str, str] = {}
    for alias in (*SERVER, *ENGINE):
        value = getattr(arguments, alias.key, None)  # a batch has no arguments of the server
        if alias.key == _ADAPTERS:
            found.update(map(_adapter, value or ()))
        elif value is not None:
            found[alias.key] = json.dumps(value) if isinstance(value, list) else value
    return found
