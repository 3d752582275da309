"""Counts the steps that drafts of forced tokens save on a JSON schema: benchmarks/jump_forward.py MODEL [--output FILE].

The answers are compared in float32. In bfloat16 near-ties occur: after 14 tokens of its first answer, SmolLM2 gives three
tokens log probabilities that agree in four digits. A step with a draft rounds differently and puts another of them first.
"""

import argparse
import json
import time
from pathlib import Path

from jackfield import LLM, SamplingParams

SCHEMA = {
    "type": "object",
    "properties": {
        "first_name": {"type": "string", "maxLength": 12},
        "family_name": {"type": "string", "maxLength": 12},
        "year_of_birth": {"type": "integer", "minimum": 1900, "maximum": 1999},
        "country_of_residence": {"enum": ["France", "Germany", "Greece"]},
        "is_still_employed": {"type": "boolean"},
    },
    "required": [
        "first_name",
        "family_name",
        "year_of_birth",
        "country_of_residence",
        "is_still_employed",
    ],
    "additionalProperties": False,
}
PROMPTS = [f"Describe {who} as JSON:\n" for who in ("a baker", "a doctor", "a pilot", "a farmer")]


def main() -> None:
    """Measure with and without drafts, one after the other, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found = {}
    for name, drafts in (
        ("without", {}),
        ("forced", {"speculation.num_tokens": 8, "select.speculator": "forced"}),
    ):
        settings = {"model.dtype": "float32", **drafts}
        with LLM(arguments.model, settings=settings) as llm:
            params = SamplingParams(structured={"json": SCHEMA}, max_tokens=200, temperature=0.0)
            llm.generate(PROMPTS[:1], params)  # compiles
            before, began_s = llm.stats.num_steps, time.perf_counter()
            outputs = llm.generate(PROMPTS, params)
            found[name] = {
                "num_steps": llm.stats.num_steps - before,
                "seconds": round(time.perf_counter() - began_s, 3),
                "num_tokens": sum(len(o.outputs[0].token_ids) for o in outputs),
                "answers": [o.outputs[0].text for o in outputs],
            }
    answers = [figures.pop("answers") for figures in found.values()]
    found["are_answers_equal"] = answers[0] == answers[1]
    text = json.dumps({"model": arguments.model, **found}, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
