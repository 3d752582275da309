"""`jackfield embed`: print the vectors of texts."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from jackfield.cli.prompts import read_prompts
from jackfield.cli.settings import MODEL_HELP, add_settings_arguments, load_from_arguments
from jackfield.interfaces.command import Command
from jackfield.pooling import KINDS, PoolingParams


class EmbedCommand(Command):
    """Embeds texts from the command line or a file, all at once through continuous batching."""

    summary = "print the vectors of texts, a JSON object a line"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", nargs="?", help=MODEL_HELP)
        parser.add_argument("words", nargs="*", metavar="WORD", help="a text, as --prompt")
        parser.add_argument(
            "--prompt", action="append", default=[], help="a text; may be given several times"
        )
        parser.add_argument(
            "--prompts-file", type=Path, metavar="FILE", help='one text a line, or {"prompt": ...}'
        )
        parser.add_argument("--pooling", choices=KINDS, help="default: as the model's files say")
        parser.add_argument(
            "--dimensions", type=int, metavar="N", help="the first N elements of each vector"
        )
        parser.add_argument(
            "--prompt-name", metavar="NAME", help="of a text that the model's files put in front"
        )
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Compute the vectors. Returns 1 if any text failed."""
        from jackfield.client import LLM

        params = PoolingParams(kind=arguments.pooling, dimensions=arguments.dimensions)
        given = [*([" ".join(arguments.words)] if arguments.words else []), *arguments.prompt]
        texts = [entry.content for entry in read_prompts(given, arguments.prompts_file)]
        failed = 0
        with LLM.from_config(load_from_arguments(arguments)) as llm:
            outputs = llm.embed(
                texts,
                params,
                prompt_name=arguments.prompt_name,
                progress=sys.stderr.isatty() and not sys.stdout.isatty(),
            )
        for index, (text, output) in enumerate(zip(texts, outputs, strict=True)):
            failed += output.error is not None
            line = {
                "index": index,
                "prompt": text,
                "num_prompt_tokens": len(output.prompt_token_ids),
            }
            made = {"pooling": output.pooling, "vector": list(output.vector)}
            print(json.dumps(line | (made if output.error is None else {"error": output.error})))
        return 1 if failed else 0
