"""`make demo`: answers several prompts at once with a real model, and prints its choices, their reasons and the speed."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from jackfield import LLM, RequestOutput, SamplingParams
from jackfield.cli.tables import print_table

QUESTIONS = (
    "What is a jackfield in a recording studio?",
    "Write two sentences about the sea in winter.",
    "Name three uses of a paper clip.",
    "Explain to a child why the sky is blue.",
)


def main() -> int:
    """Answer the questions with continuous batching."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--max-tokens", type=int, default=64)
    arguments = parser.parse_args()

    console = Console()
    began = time.perf_counter()
    with LLM(arguments.model) as llm:
        console.print(f"ready after {time.perf_counter() - began:.1f} s\n")
        prompts = [llm.chat_prompt([{"role": "user", "content": text}]) for text in QUESTIONS]
        began = time.perf_counter()
        outputs = show(
            console, llm, prompts, SamplingParams(max_tokens=arguments.max_tokens, temperature=0.0)
        )
        seconds = time.perf_counter() - began
        console.print()
        print_choices(llm)
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    console.print(
        f"\n{len(outputs)} answers, {tokens} tokens in {seconds:.1f} s: {tokens / seconds:.0f} tokens/s"
    )
    return 0 if tokens and all(output.outputs[0].error is None for output in outputs) else 1


def show(
    console: Console, llm: LLM, prompts: list[list[int]], params: SamplingParams
) -> list[RequestOutput]:
    """Stream all answers, on a terminal side by side."""
    latest: dict[str, RequestOutput] = {}
    with Live(console=console, refresh_per_second=12, transient=False) as live:
        for output in llm.stream(prompts, params):
            latest[output.request_id] = output
            if console.is_terminal:
                live.update(answers(list(latest.values())))
        live.update(answers(list(latest.values())))
    return list(latest.values())


def answers(outputs: list[RequestOutput]) -> Table:
    """The questions and their answers so far."""
    table = Table(show_header=False, show_lines=True, expand=True)
    for question, output in zip(QUESTIONS, outputs, strict=False):
        table.add_row(f"[bold]{question}[/bold]\n{output.outputs[0].text.strip()}")
    return table


def print_choices(llm: LLM) -> None:
    """Print what was chosen for this engine, and what decided."""
    rows = [[d.kind, d.subject, d.chosen or "", d.decided_by or ""] for d in llm.decisions]
    print_table(["what", "for", "chosen", "because"], rows, title="chosen")


if __name__ == "__main__":
    sys.exit(main())
