"""Runs a batch: a number of requests at once; each answer is written when it arrives."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterator

from jackfield.cli.settings import load_from_arguments
from jackfield.config.options import read_options
from jackfield.environment import client_api_key
from jackfield.errors import ConfigError
from jackfield_openai_server.app import make_app
from jackfield_openai_server.arguments import settings_of
from jackfield_openai_server.batch.files import BatchRequest, ResultFile, read_requests
from jackfield_openai_server.batch.senders import LocalSender, RemoteSender, Sender
from jackfield_openai_server.bench.http import Target
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.run import served_model
from jackfield_openai_server.served import ServedModels
from jackfield_openai_server.state import ServerState
from jackfield_openai_server.tenants import Tenants

_NUM_TRIES = 6  # tries for a busy server
_FIRST_PAUSE_S = 0.5  # doubled for each further try
_PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/rerank",
    "/v1/responses",
    "/v1/score",
)


def run(arguments: argparse.Namespace) -> int:
    """Run and return the exit status: 0 if all requests are answered. Raises ConfigError."""
    if (arguments.url is None) == (arguments.model is None):
        raise ConfigError("run-batch takes a model or --url, one of them")
    if arguments.max_concurrency < 1:
        raise ConfigError(f"--max-concurrency must be above 0, got {arguments.max_concurrency}")
    # A wrong line is reported first.
    num_requests = sum(1 for _ in read_requests(arguments.input_file))
    results = ResultFile(arguments.output_file)
    try:
        if len(results.done) < num_requests:
            asyncio.run(_answer_all(arguments, results))
    finally:
        results.close()
    sys.stderr.write(
        f"jackfield: {results.num_answered} of {num_requests} requests are answered: {arguments.output_file}\n"
    )
    return 0 if results.num_answered == num_requests else 1


async def _answer_all(arguments: argparse.Namespace, results: ResultFile) -> None:
    requests = (r for r in read_requests(arguments.input_file) if r.custom_id not in results.done)
    if arguments.url is not None:
        target = Target.of(arguments.url, client_api_key())
        await _spread(RemoteSender(target), requests, results, arguments.max_concurrency)
        return
    given = [f"{key}={value}" for key, value in settings_of(arguments).items()]
    arguments.set = [*given, *arguments.set]
    loaded = load_from_arguments(arguments)
    options = read_options(ServeOptions, "serve", loaded.config, loaded.provenance)
    model = served_model(arguments, loaded, options)
    state = ServerState(options, ServedModels((model,)), Tenants(()))
    app = make_app(state, _nothing, _nothing)
    try:
        await model.start()
        await _spread(LocalSender(app), requests, results, arguments.max_concurrency)
    finally:
        await model.close()


async def _nothing(_: ServerState) -> None:
    """Nothing to do: the model is started and closed here."""


async def _spread(
    sender: Sender, requests: Iterator[BatchRequest], results: ResultFile, count: int
) -> None:
    """Let `count` workers share the requests. Raises the error that ends one of them."""
    async with asyncio.TaskGroup() as group:
        for first in itertools.islice(requests, count):
            group.create_task(_work(sender, first, requests, results))


async def _work(
    sender: Sender, request: BatchRequest, rest: Iterator[BatchRequest], results: ResultFile
) -> None:
    for each in itertools.chain((request,), rest):
        if each.method.upper() != "POST" or each.url not in _PATHS:
            text = f"a batch takes POST of {', '.join(_PATHS)}, not {each.method} {each.url}"
            results.add_error(each.custom_id, "invalid_url", text)
            continue
        try:
            status, body = await _ask(sender, each)
        except OSError as error:
            results.add_error(each.custom_id, "connection_error", str(error))
        else:
            results.add(each.custom_id, status, body)


async def _ask(sender: Sender, request: BatchRequest) -> tuple[int, bytes]:
    """The answer. While the server is busy or cannot be reached, ask again after a pause."""
    body = bytes(request.body)
    for number in range(_NUM_TRIES - 1):
        try:
            status, answer = await sender.send("POST", request.url, body)
            if status not in (429, 503):
                return status, answer
        except ConnectionError:
            pass
        await asyncio.sleep(_FIRST_PAUSE_S * 2**number)
    return await sender.send("POST", request.url, body)
