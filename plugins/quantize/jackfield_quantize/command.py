"""`jackfield quantize`: writes a checkpoint whose layers have weights of few bits."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jackfield.cli.settings import MODEL_HELP, add_settings_arguments, load_from_arguments
from jackfield.interfaces.command import Command
from jackfield_quantize.recipe import SCHEMES, Recipe

_INTERRUPTED = 130  # exit status, as shells have it


class QuantizeCommand(Command):
    """Writes a new folder and leaves the source unchanged. An interrupted run continues when it is started again."""

    summary = "make a quantized checkpoint: GPTQ, AWQ, SqueezeLLM, FP8, int8, NF4, MXFP4, NVFP4"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help=MODEL_HELP)
        parser.add_argument(
            "-o", "--output", type=Path, required=True, help="folder to write, which must not exist"
        )
        parser.add_argument(
            "--scheme", required=True, choices=[*SCHEMES], help="how weights become codes"
        )
        parser.add_argument(
            "--bits", type=int, help="of a code; default: 4, or 8 where the scheme has 8 alone"
        )
        parser.add_argument(
            "--group-size",
            type=int,
            default=128,
            metavar="N",
            help="inputs that share a scale; -1: all (gptq, awq, rtn)",
        )
        zeros = parser.add_mutually_exclusive_group()
        zeros.add_argument(
            "--symmetric",
            action="store_true",
            default=None,
            help="no zero points; the default, but of awq",
        )
        zeros.add_argument(
            "--asymmetric", action="store_false", dest="symmetric", help="with zero points"
        )
        parser.add_argument(
            "--format", help="on disk, where a scheme has several; see docs/quantization.md"
        )
        parser.add_argument(
            "--sparse",
            type=float,
            default=0.0,
            metavar="SHARE",
            help="of weights that squeezellm leaves, e.g. 0.0045",
        )
        text = parser.add_argument_group("calibration (gptq, awq, squeezellm)")
        text.add_argument(
            "--calibration", type=Path, metavar="FILE", help="a text; default: one that ships"
        )
        text.add_argument(
            "--samples", type=int, default=64, metavar="N", help="rows of the text that are used"
        )
        text.add_argument(
            "--sample-length", type=int, default=512, metavar="N", help="tokens of a row"
        )
        parser.add_argument(
            "--device",
            help="of torch, for the computing; default: cuda where there is one, else cpu",
        )
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Quantise, and print the result."""
        recipe = _recipe(arguments)
        from jackfield_quantize.run import run

        try:
            return run(load_from_arguments(arguments), recipe, arguments.output, arguments.device)
        except KeyboardInterrupt:
            sys.stderr.write(
                "\nInterrupted. The same command goes on with the first layer that is not finished.\n"
            )
            return _INTERRUPTED


def _recipe(arguments: argparse.Namespace) -> Recipe:
    facts = SCHEMES[arguments.scheme]
    bits = arguments.bits
    if bits is None:
        bits = 4 if 4 in facts.bits else facts.bits[0]
    symmetric = facts.default_symmetric if arguments.symmetric is None else arguments.symmetric
    return Recipe(
        scheme=arguments.scheme,
        bits=bits,
        group_size=arguments.group_size,
        symmetric=symmetric,
        format=arguments.format or facts.formats[0],
        sparse=arguments.sparse,
        calibration=arguments.calibration,
        num_rows=arguments.samples,
        row_length=arguments.sample_length,
    )
