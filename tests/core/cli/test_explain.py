"""`jackfield explain MODEL` prints what an engine would be made of, and why."""

import json

import pytest

from jackfield.config import load_config

pytestmark = pytest.mark.usefixtures("probe_inline")

CHOICES = {
    "model_source": "folder",
    "weight_format": "config_only",
    "tokenizer": "words",
    "platform": "acme",
    "executor": "alone",
    "scheduler": "plain",
}


@pytest.fixture
def explain(jackfield, world):
    folder = world.write_model()
    words = [word for key, name in CHOICES.items() for word in ("--set", f"select.{key}={name}")]

    def explain(*more):
        return jackfield("explain", folder, *words, *more)

    return explain


def test_every_decision_is_printed_with_its_reasons(explain):
    done = explain("--set", "select.kernel=fast")

    assert done.status == 0, done.err
    assert "platforms for engine: acme (command line: select.platform)" in done.out
    assert "jackfield_acme.kernels for layer 1: fast" in done.out
    assert "names acme" in done.out  # why host was passed over


def test_a_rule_that_matches_nothing_is_printed(explain):
    rules = 'select.kernel=[{match = {layer = 9}, use = "fast"}]'

    told = "command line: select.kernel, rule 1: matches nothing; layer is 0 or 1"

    assert told in explain("--set", rules).out
    assert json.loads(explain("--set", rules, "--json").out)["idle_rules"] == [told]


def test_the_settings_that_are_not_defaults_are_printed_with_who_set_them(explain):
    lines = [" ".join(line.split()) for line in explain().out.splitlines()]

    assert "scheduler.max_rows 4 default of platform acme" in lines
    assert "model.max_length 64 length of the model" in lines


def test_the_memory_is_estimated_from_headers(explain):
    report = json.loads(explain("--json", "--set", "cache.num_blocks=10").out)

    memory = report["memory"]
    assert memory["weight_bytes"] == 10 * 7 * 2  # float16
    assert memory["block_bytes"] == [
        2 * 2 * 16 * 1 * 8 * 2
    ]  # keys and values, layers, slots, heads, elements, bytes
    assert (memory["num_blocks"], memory["cache_tokens"]) == ([10], 160)


def test_a_cache_of_a_fixed_size_is_counted_in_tokens(explain):
    done = explain("--set", f"cache.memory_bytes={8 * 1024}")

    assert "cache: 128 tokens" in done.out


def test_a_cache_of_no_fixed_size_is_bounded_by_the_memory_that_the_weights_leave(explain):
    # Bytes less the weights, of which memory_fraction, in blocks of 1024 bytes and 16 tokens.
    tokens = int((10_000 - 140) * 0.9) // 1024 * 16

    assert f"cache: about {tokens} tokens" in explain().out


def test_a_cache_that_is_too_small_is_told(explain):
    assert "cannot hold one request" in explain("--set", "cache.num_blocks=1").out


def test_the_json_has_decisions_settings_and_the_digest(explain):
    report = json.loads(explain("--json").out)

    assert {decision["kind"] for decision in report["decisions"]} >= {
        "platforms",
        "jackfield_acme.kernels",
    }
    assert {
        "key": "model.dtype",
        "value": "float16",
        "source": "default of platform acme",
    } in report["settings"]
    assert len(report["digest"]) == 64


def test_the_effective_config_reproduces_the_run(explain, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(explain("--toml").out)

    config = load_config(file=file, environ={}).config

    assert (config.scheduler.max_rows, config.model.dtype, config.select) == (4, "float16", CHOICES)


def test_what_cannot_be_chosen_is_told_among_all_other_decisions(explain):
    done = explain("--set", "model.dtype=float64")

    assert done.status == 2
    assert "platforms for engine: none (command line: select.platform)" in done.out
    assert "schedulers for engine: plain" in done.out
    (problem,) = done.out.partition("problems:\n")[2].splitlines()
    assert problem.startswith("- platforms for engine: command line: select.platform names 'acme'")
    assert "no float64 here" in problem


def test_problems_are_data_too(explain):
    done = explain("--set", "model.dtype=float64", "--json")

    report = json.loads(done.out)
    ((kind, subject, error),) = [(p["kind"], p["subject"], p["error"]) for p in report["problems"]]
    assert (done.status, kind, subject, error) == (2, "platforms", "engine", "SelectionError")
    assert (report["memory"], report["digest"]) == (None, None)


def test_a_config_that_would_not_start_is_not_written(explain):
    done = explain("--set", "model.dtype=float64", "--toml")

    assert (done.status, done.out) == (2, "")
    assert "no float64 here" in done.err


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        ("os.kill(os.getpid(), 11)", "it crashed with SIGSEGV when it was probed"),
        ("time.sleep(60)", "it took longer than 1 s (plugins.probe_timeout_s)"),
    ],
)
def test_a_probe_that_crashes_or_hangs_is_one_line_of_the_answer(
    explain, distributions, monkeypatch, probe, told
):
    monkeypatch.delenv("JACKFIELD_PLUGINS_PROBE")
    source = f"""
        import os, time
        from jackfield.interfaces.card import Card
        class Bad(Card):
            def probe(self):
                {probe}
    """
    kernels = {"jackfield_acme.kernels.v1": {"bad": "bad_kernel:Bad"}}
    distributions.add("bad", kernels, modules={"bad_kernel": source})

    done = explain("--json", "--set", "plugins.probe_timeout_s=1")

    assert done.status == 0, done.err
    decisions = json.loads(done.out)["decisions"]
    bad = next(c for d in decisions for c in d["candidates"] if c["name"] == "bad")
    (reason,) = bad["reasons"]
    assert (bad["verdict"], reason["code"]) == ("failed", "failed")
    assert told in reason["text"]
    assert "\n" not in reason["text"]
    assert 'plugins.deny = ["bad@bad"]' in reason["remedy"]


def test_what_decisions_were_asked_with_and_what_probes_found_is_printed_if_asked_for(explain):
    words = [" ".join(line.split()) for line in explain("--facts").out.splitlines()]

    assert "facts for rules: layer = 1" in words
    assert any(line.startswith("features in use: attention.rope") for line in words)
    assert "jackfield.platforms:acme@acme cores=4, available_bytes=10000" in words


def test_hooks_are_listed(explain):
    assert "hooks for watcher: watcher (every hook that is installed and allowed)" in explain().out
