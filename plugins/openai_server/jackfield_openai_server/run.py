"""Runs the server: settings, socket, engine, drain."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import uvicorn
from starlette.routing import BaseRoute

from jackfield.cli.settings import load_from_arguments, settings_words
from jackfield.config import LoadedConfig, load_config
from jackfield.config.options import read_options
from jackfield.discovery.registry import PluginRegistry
from jackfield.environment import api_key
from jackfield.errors import ConfigError
from jackfield_openai_server.app import make_app
from jackfield_openai_server.arguments import settings_of
from jackfield_openai_server.endpoints.by_plugins import plugin_routes
from jackfield_openai_server.engine.messages import Open
from jackfield_openai_server.limited_http import limited_http
from jackfield_openai_server.log import set_up
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.served import ServedModel, ServedModels
from jackfield_openai_server.state import ServerState
from jackfield_openai_server.tenants import load_tenants

logger = logging.getLogger(__name__)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends the server. Raises ConfigError, or the error that prevents the engine."""
    began_s = time.monotonic()
    given = [f"{key}={value}" for key, value in settings_of(arguments).items()]
    arguments.set = [*given, *arguments.set]
    loaded = load_from_arguments(arguments)
    options = read_options(ServeOptions, "serve", loaded.config, loaded.provenance)
    set_up(options.log_format, with_requests=options.log_requests)
    state = _state(arguments, loaded, options)
    routes = plugin_routes(state, loaded.config)
    listener = _listen(options)
    return _Server(state, listener, began_s, routes).serve_until_signal()


def _state(
    arguments: argparse.Namespace, loaded: LoadedConfig, options: ServeOptions
) -> ServerState:
    tenants = load_tenants(api_key(), options.api_keys_file)
    if options.host not in _LOOPBACK and not tenants.are_asked:
        logger.warning(
            "%s is reached from other machines, and no key is asked for: set JACKFIELD_API_KEY",
            options.host,
        )
        _tell(f"note: {options.host} can be reached from other machines, and no API key is set")
    return ServerState(options, _models(arguments, loaded, options), tenants)


def _models(
    arguments: argparse.Namespace, loaded: LoadedConfig, options: ServeOptions
) -> ServedModels:
    """The one model that is named, or the models of the config. Raises ConfigError."""
    reference = arguments.model or loaded.config.model.reference
    if bool(reference) == bool(options.models):
        raise ConfigError(
            "serve takes one model, or several in options.serve.models (NAME=FILE); "
            + ("both are given" if reference else "none is given")
        )
    if reference:
        return ServedModels((served_model(arguments, loaded, options),))
    found = []
    for entry in options.models:
        name, _, file = entry.partition("=")
        config = load_config(file=Path(file)).config  # also checks the file
        scan = partial(PluginRegistry.scan, config.plugins)
        opening = Open(["--config", file])
        found.append(ServedModel((name,), opening, options, scan, config.adapters))
    return ServedModels(tuple(found))


def served_model(
    arguments: argparse.Namespace, loaded: LoadedConfig, options: ServeOptions
) -> ServedModel:
    """The model that the arguments name; it is not started."""
    names = options.names or (loaded.config.model.reference,)
    opening = Open(settings_words(arguments))
    scan = partial(PluginRegistry.scan, loaded.config.plugins)
    return ServedModel(names, opening, options, scan, loaded.config.adapters)


def _listen(options: ServeOptions) -> socket.socket:
    """The socket, bound before anything is loaded. Raises ConfigError if that is not possible."""
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        address = (options.host, options.port)
        return socket.create_server(address, family=family, backlog=4096)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {options.host} port {options.port}: {error}. Choose another with --host and --port"
        ) from None


class _Server:
    """Uvicorn with our state."""

    def __init__(
        self,
        state: ServerState,
        listener: socket.socket,
        began_s: float,
        routes: Sequence[BaseRoute],  # of plugins
    ) -> None:
        self._state = state
        self._listener = listener
        self._began_s = began_s
        self._error: Exception | None = None
        self._loading: asyncio.Task[None] | None = None
        options = state.options
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(state, self._begin, self._end, routes),
                log_config=None,
                access_log=False,
                lifespan="on",
                root_path=options.root_path,
                server_header=False,
                timeout_keep_alive=75,  # longer than a load balancer's
                timeout_graceful_shutdown=int(options.drain_s),
                ssl_certfile=options.tls_certificate,
                ssl_keyfile=options.tls_key,
                http=limited_http(options),
                ws="none",
            )
        )

    def serve_until_signal(self) -> int:
        """The exit status. Raises what kept a model from being loaded."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _pass_over)  # uvicorn raises it again when it has drained
        self._server.run(sockets=[self._listener])
        if self._error is not None:
            raise self._error
        return 0

    async def _begin(self, state: ServerState) -> None:
        """Listen at once and load meanwhile: /health and /ready answer from the start."""
        self._loading = asyncio.get_running_loop().create_task(self._load(state))

    async def _load(self, state: ServerState) -> None:
        try:
            await state.residence.begin()
        except Exception as error:
            self._error = error
            self._server.should_exit = True
            return
        gc.collect()
        gc.freeze()  # what stays for good is not looked at again
        names = ", ".join(name for model in state.models.all for name in model.names)
        _tell(
            f"serving {names} on {self._url()} (ready in {time.monotonic() - self._began_s:.1f} s)"
        )

    async def _end(self, state: ServerState) -> None:
        if self._loading is not None:
            self._loading.cancel()
        for model in state.models.all:
            await model.close()

    def _url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        scheme = "http" if self._state.options.tls_certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _pass_over(*_: object) -> None:
    """The signal has done its work."""


def _tell(text: str) -> None:
    with suppress(OSError):  # a full disk
        sys.stderr.write(f"jackfield: {text}\n")
        sys.stderr.flush()
