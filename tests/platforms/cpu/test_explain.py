"""`jackfield explain` on a real model and the first-party plugins: every selection, before anything is loaded."""

import json
import logging
import shutil

import pytest

from jackfield import LLM
from jackfield.cli.main import main
from jackfield.config import load_config
from jackfield.decision import summary
from jackfield.startup.blueprint import make_blueprint
from jackfield_testing.tokenizer import write_byte_tokenizer

KINDS = {
    "model_sources": ["model"],
    "weight_formats": ["model"],
    "models": ["model"],
    "tokenizers": ["model"],
    "platforms": ["engine"],
    "executors": ["engine"],
    "schedulers": ["engine"],
    "structured_output": ["choice", "grammar", "json", "json_object", "regex", "structural_tag"],
    "jackfield_torch.logits_processors": ["no_repeat_ngram", "thinking_budget"],
    "jackfield_torch.quantization": ["linears"],
    "jackfield_torch.attention_backends": ["layer 1", "layers 0, 2"],
}
SETTING = {kind: kind.rpartition(".")[2].removesuffix("s") for kind in KINDS}
SETTING["jackfield_torch.attention_backends"] = "attention"


@pytest.fixture
def explain(make_model, tmp_path, capsys, monkeypatch):
    """The JSON of an explanation, of a model whose layers differ; also written to a file of that name."""
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    path = shutil.copytree(make_model("gemma3").path, tmp_path / "gemma3")
    write_byte_tokenizer(path)

    def explain(*words, file=None):
        status = main(["explain", str(path), "--dtype=float32", "--json", *words])
        done = capsys.readouterr()
        assert status == 0, done.err
        if file:
            (tmp_path / file).write_text(done.out)
        return json.loads(done.out)["decisions"]

    return explain


def test_every_selection_is_there_with_its_candidates_in_order(explain):
    found = explain()

    subjects = {}
    for decision in found:
        subjects.setdefault(decision["kind"], []).append(decision["subject"])
        verdicts = [candidate["verdict"] for candidate in decision["candidates"]]
        assert verdicts.count("chosen") == 1, decision
        first_fit = next(v for v in verdicts if v in ("chosen", "accepted"))
        assert first_fit == "chosen", decision
        assert decision["decided_by"]
    del subjects["hooks"]  # all that are installed
    assert subjects == KINDS


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--set=cache.dtype=float16",),
        ("--set=executor.tensor_parallel=2",),
        ("--set=select.attention=torch_sdpa", "--set=select.scheduler=priority"),
        ("--profile=h100",),
        ("--profile=cpu-avx2",),
    ],
)
def test_every_refusal_has_a_code_a_sentence_and_what_would_make_it_eligible(explain, words):
    reasons = [
        reason
        for decision in explain(*words)
        for candidate in decision["candidates"]
        if candidate["verdict"] in ("refused", "incompatible")
        for reason in candidate["reasons"] or [None]  # one at least
    ]

    assert reasons
    for reason in reasons:
        assert all(reason[part] for part in ("code", "text", "remedy")), reason


def test_each_kind_can_be_named_and_the_place_that_did_is_told(explain):
    chosen = {(d["kind"], d["subject"]): d["chosen"] for d in explain()}

    for kind, subjects in KINDS.items():
        if kind.endswith("logits_processors"):
            continue  # requests name them
        name = chosen[kind, subjects[0]]
        option = f"select.{SETTING[kind]}"
        named = [d for d in explain(f"--set={option}={name}") if d["kind"] == kind]
        assert {d["decided_by"] for d in named} == {f"command line: {option}"}


def test_rules_are_told_with_the_layers_that_they_decide(explain):
    rules = '[{match = {window = true}, use = "torch_sdpa"}]'

    found = {d["subject"]: d for d in explain(f"--set=select.attention={rules}")}

    full, window = found["layer 1"], found["layers 0, 2"]
    assert (full["chosen"], full["decided_by"]) == ("cpu_paged", "preference of platform cpu")
    assert (window["chosen"], window["decided_by"]) == (
        "torch_sdpa",
        "command line: select.attention, rule 1",
    )


def test_a_rule_can_name_a_layer(explain):
    rules = '[{match = {layer = 2}, use = "torch_sdpa"}]'

    found = {d["subject"]: d["chosen"] for d in explain(f"--set=select.attention={rules}")}

    assert (found["layer 0"], found["layer 2"]) == ("cpu_paged", "torch_sdpa")


def test_two_explanations_are_compared(explain, tmp_path, capsys):
    explain(file="a.json")
    explain("--set=select.attention=torch_sdpa", file="b.json")

    status = main(["explain", "--diff", str(tmp_path / "a.json"), str(tmp_path / "b.json")])

    out = capsys.readouterr().out
    assert status == 1
    assert "jackfield_torch.attention_backends for layer 1: cpu_paged -> torch_sdpa" in out
    assert "different choices: 2" in out


def test_a_running_engine_carries_the_decisions_and_logs_them_in_one_line(tiny_llama, caplog):
    settings = {"model.reference": str(tiny_llama.path), "model.dtype": "float32"}
    expected = make_blueprint(load_config(environ={}, code=settings)).decisions

    with (
        caplog.at_level(logging.INFO, "jackfield.engine"),
        LLM(str(tiny_llama.path), dtype="float32") as llm,
    ):
        assert llm.decisions == expected

    (ready,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("ready")]
    assert ready == f"ready: {summary(expected)}"
    assert "\n" not in ready
