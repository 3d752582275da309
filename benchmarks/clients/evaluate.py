"""Runs lm-evaluation-harness against a server: multiple choice by `local-completions`, text by `local-chat-completions`.

Use a separate environment: `pip install 'lm_eval[api]'`, with --folder also torch and transformers. Then run
`python benchmarks/clients/evaluate.py http://localhost:8000 [MODEL] [--folder FOLDER]`. It prints JSON with the share of right
answers. With --folder, the harness also evaluates Transformers in float32 with the weights in that folder, and the report
has the largest difference of the log likelihoods of all choices. The questions stand in this file, so nothing is fetched.
"""

import argparse
import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.tasks import TaskManager

# Questions, each with the right answer and wrong ones.
QUESTIONS = (
    ("The capital of France is", "Paris", "London", "Berlin", "Madrid"),
    ("The capital of Japan is", "Tokyo", "Beijing", "Seoul", "Bangkok"),
    ("The capital of Italy is", "Rome", "Vienna", "Athens", "Lisbon"),
    ("The opposite of hot is", "cold", "warm", "tall", "green"),
    ("The opposite of up is", "down", "left", "big", "fast"),
    ("Water freezes into", "ice", "steam", "sand", "gold"),
    ("The sun rises in the", "east", "north", "west", "south"),
    ("A baby dog is called a", "puppy", "kitten", "calf", "foal"),
    ("A baby cat is called a", "kitten", "puppy", "lamb", "chick"),
    ("Bees make", "honey", "milk", "bread", "wool"),
    ("Cows give", "milk", "eggs", "honey", "silk"),
    ("Two plus two equals", "four", "five", "nine", "seven"),
    ("A week has seven", "days", "hours", "months", "years"),
    ("The first month of the year is", "January", "March", "July", "May"),
    ("The planet that we live on is called", "Earth", "Mars", "Venus", "Saturn"),
    ("Snow is", "white", "black", "purple", "orange"),
    ("Grass is", "green", "blue", "pink", "silver"),
    ("We see with our", "eyes", "ears", "hands", "knees"),
    ("We hear with our", "ears", "eyes", "feet", "teeth"),
    ("Fish live in", "water", "trees", "books", "clouds"),
    ("The largest ocean is the", "Pacific", "Atlantic", "Arctic", "Baltic"),
    ("Romeo and Juliet was written by", "Shakespeare", "Newton", "Mozart", "Einstein"),
    ("The chemical symbol of water is", "H2O", "CO2", "NaCl", "O2"),
    ("The currency of Japan is the", "yen", "euro", "dollar", "pound"),
)
CHOICES, ANSWERS = "jackfield_choices", "jackfield_answers"
TASKS = {
    CHOICES: {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": 0,
        "metric_list": [{"metric": "acc"}],
    },
    ANSWERS: {
        "output_type": "generate_until",
        "doc_to_text": "{{question}} ... Say the missing word alone.",
        "doc_to_target": "{{choices[0]}}",
        "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 16, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}]  # of no use here: see `named`,
    },
}  # fmt: skip


def write_tasks(folder: Path) -> None:
    """Write the tasks for the harness, as JSON, which is valid YAML."""
    rows = [{"question": question, "choices": choices} for question, *choices in QUESTIONS]
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, task in TASKS.items():
        source = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
        }
        (folder / f"{name}.yaml").write_text(json.dumps({**source, **task}))


def evaluated(tasks: TaskManager, kind: str, name: str, /, **arguments: Any) -> dict[str, Any]:
    """Evaluate one task with the harness."""
    found: dict[str, Any] = lm_eval.simple_evaluate(
        model=kind,
        model_args=arguments,
        tasks=[name],
        task_manager=tasks,
        apply_chat_template=name == ANSWERS,
        bootstrap_iters=0,
        log_samples=True,
    )
    return found


def named(found: dict[str, Any]) -> float:
    """The share of answers that contain the right word."""
    samples = found["samples"][ANSWERS]
    right = [sample["target"].lower() in sample["resps"][0][0].lower() for sample in samples]
    return round(sum(right) / len(right), 4)


def likelihoods(found: dict[str, Any]) -> list[float]:
    """The log likelihoods of all choices of all questions, in order."""
    samples = sorted(found["samples"][CHOICES], key=lambda sample: sample["doc_id"])
    return [float(choice[0]) for sample in samples for choice in sample["filtered_resps"]]


def main() -> None:
    """Evaluate the server, compare it with Transformers if asked to, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--folder", help="the same weights, for Transformers")
    arguments = parser.parse_args()
    url = arguments.url.rstrip("/")
    common = {"model": arguments.model, "num_concurrent": 4, "max_retries": 1}
    with tempfile.TemporaryDirectory() as name:
        write_tasks(Path(name))
        tasks = TaskManager(include_path=name, include_defaults=False)
        served = evaluated(
            tasks, "local-completions", CHOICES, base_url=f"{url}/v1/completions", **common
        )
        chat = evaluated(
            tasks,
            "local-chat-completions",
            ANSWERS,
            base_url=f"{url}/v1/chat/completions",
            **common,
        )
        report = {
            "lm_eval": metadata.version("lm_eval"),
            "questions": len(QUESTIONS),
            "local-completions": {"acc": served["results"][CHOICES]["acc,none"]},
            "local-chat-completions": {"right_word": named(chat)},
        }
        if arguments.folder:
            own = evaluated(tasks, "hf", CHOICES, pretrained=arguments.folder, dtype="float32", device="cpu")  # fmt: skip
            pairs = zip(likelihoods(served), likelihoods(own), strict=True)
            report["hf"] = {"acc": own["results"][CHOICES]["acc,none"]}
            report["largest_difference_of_log_likelihoods"] = max(abs(a - b) for a, b in pairs)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
