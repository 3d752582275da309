"""The work of `jackfield generate`: prompts to an engine, answers to the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jackfield.cli.prompts import PromptEntry, read_prompts
from jackfield.cli.sampling import given_fields
from jackfield.cli.settings import load_from_arguments
from jackfield.cli.streams import writes_everything
from jackfield.client import LLM
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.request import CompletionOutput, FinishReason, RequestOutput
from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs


def run_generate(arguments: argparse.Namespace) -> int:
    """Answer the prompts and print the answers. Returns 1 if any request failed."""
    given = given_fields(arguments)
    SamplingParams.from_mapping(given)  # wrong fields are reported before a model is loaded
    loaded = load_from_arguments(arguments)
    given_prompts = [
        *([" ".join(arguments.words)] if arguments.words else []),
        *arguments.prompt,
    ]
    entries = read_prompts(given_prompts, arguments.prompts_file)
    params = [SamplingParams(**{**given, **entry.sampling}) for entry in entries]
    inputs = [_input(entry, arguments) for entry in entries]
    with LLM.from_config(loaded) as llm:
        if arguments.stream:
            return _print_stream(llm.stream(inputs, params), len(entries))
        outputs = llm.generate(inputs, params, progress=sys.stderr.isatty() and not arguments.json)
        if arguments.json:
            return _print_json(outputs, entries, llm.tokenizer)
    return _print_texts(outputs)


def _input(entry: PromptEntry, arguments: argparse.Namespace) -> Any:
    """The engine's input. If a conversation is wanted, a text becomes one."""
    if not isinstance(entry.content, str) or not (arguments.chat or arguments.system):
        return entry.content
    first = [{"role": "system", "content": arguments.system}] if arguments.system else []
    return [*first, {"role": "user", "content": entry.content}]


def _print_texts(outputs: Sequence[RequestOutput]) -> int:
    failed = 0
    is_alone = sum(len(output.outputs) for output in outputs) == 1
    for index, output in enumerate(outputs):
        for completion in output.outputs:
            if completion.error is not None:
                failed += 1
                print(f"[{index}] failed: {completion.error}", file=sys.stderr)
            else:
                print(("" if is_alone else f"[{_label(index, completion)}] ") + completion.text)
    return 1 if failed else 0


def _print_json(
    outputs: Sequence[RequestOutput], entries: Sequence[PromptEntry], tokenizer: Tokenizer | None
) -> int:
    failed = 0
    for index, (output, entry) in enumerate(zip(outputs, entries, strict=True)):
        for completion in output.outputs:
            failed += completion.error is not None
            line = _as_json(index, entry, output, completion, tokenizer)
            print(_one_line(json.dumps(line, ensure_ascii=not writes_everything(sys.stdout))))
    return 1 if failed else 0


def _as_json(
    index: int,
    entry: PromptEntry,
    output: RequestOutput,
    completion: CompletionOutput,
    tokenizer: Tokenizer | None,
) -> Mapping[str, Any]:
    """One answer. Fields that were not asked for are left out."""
    line = {
        "index": index,
        "prompt": entry.content,
        "text": completion.text,
        "token_ids": list(completion.token_ids),
        "finish_reason": completion.finish_reason,
    }
    if len(output.outputs) > 1:
        line["n"] = completion.index
    if completion.stop_reason is not None:
        line["stop_reason"] = completion.stop_reason
    if completion.logprobs is not None:
        line["logprobs"] = [_logprob(found, tokenizer) for found in completion.logprobs]
    if output.prompt_logprobs is not None:
        line["prompt_logprobs"] = [
            found and _logprob(found, tokenizer) for found in output.prompt_logprobs
        ]
    if completion.error is not None:
        line["error"] = completion.error
    return line


def _one_line(text: str) -> str:
    """JSON in which characters that many programs take for the end of a line are escaped."""
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def _logprob(found: TokenLogprobs, tokenizer: Tokenizer | None) -> Mapping[str, Any]:
    """Log probabilities with texts, if there is a tokenizer. Bytes that are no whole character read as U+FFFD."""

    def token(token_id: int, logprob: float) -> dict[str, Any]:
        text = {} if tokenizer is None else {"text": tokenizer.decode([token_id])}
        return {"token_id": token_id, **text, "logprob": logprob}

    top = [*map(token, found.top_ids, found.top_logprobs)]
    line = {**token(found.token_id, found.logprob), "rank": found.rank}
    return {**line, "top": top} if top else line


def _label(index: int, completion: CompletionOutput) -> str:
    return f"{index}.{completion.index}" if completion.index else str(index)


def _print_stream(outputs: Iterable[RequestOutput], count: int) -> int:
    """Print answers as they come. One answer is printed as text, several as whole lines after their prompt's number."""
    failed = 0
    pending: dict[tuple[str, int], str] = {}
    ended: set[tuple[str, int]] = set()
    for output in outputs:
        index = int(output.request_id)  # an LLM counts its prompts from 0
        for completion in output.outputs:
            key = output.request_id, completion.index
            if key in ended:
                continue
            is_last = completion.finish_reason is not None
            if is_last:
                ended.add(key)
            if completion.error is not None:
                failed += 1
                print(f"[{index}] failed: {completion.error}", file=sys.stderr)
            elif count == len(output.outputs) == 1:
                print(completion.delta, end="\n" if is_last else "", flush=True)
            else:
                text = pending.pop(key, "") + completion.delta
                *lines, rest = text.split("\n")
                pending[key] = rest
                for line in lines + ([rest] if is_last else []):
                    print(f"[{_label(index, completion)}] {line}", flush=True)
            for line in why_it_ended(completion):
                print(line, file=sys.stderr, flush=True)
    return 1 if failed else 0


def why_it_ended(completion: CompletionOutput) -> Iterator[str]:
    """A line for the reader if an answer did not end by itself."""
    if completion.finish_reason is FinishReason.LENGTH:
        number = len(completion.token_ids)
        yield f"[cut off after {number} tokens: raise --max-tokens, or model.max_length if that was reached]"
    elif isinstance(completion.stop_reason, str):
        yield f"[ended at the stop text {completion.stop_reason!r}]"
