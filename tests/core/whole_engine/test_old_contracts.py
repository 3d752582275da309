"""An engine that speaks v2 of a contract runs plugins of v1 through an adapter, and says so everywhere."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jackfield.discovery.kinds import CORE_KINDS, SCHEDULERS
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import PluginIncompatible
from jackfield.startup.blueprint import Blueprint
from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing.conformance.report import KitReport, Subject, table
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

HERE = Path(__file__).parents[1]
OLD = """
    from jackfield.interfaces.policy import SchedulingPolicy

    class Shortest(SchedulingPolicy):
        def admission_key(self, request):
            return (request.num_prompt_tokens,)
"""
NEW = """
    from policy_v2 import PolicyV2

    class Longest(PolicyV2):
        def waiting_key(self, request):
            return (-request.num_prompt_tokens,)

        def running_key(self, request):
            return (request.arrival,)

        def boost(self, request):
            return request.salt == "vip"
"""
PROMPTS = {"middle": [7] * 5, "long": [7] * 9, "short": [7] * 2}


@pytest.fixture
def v2(monkeypatch, distributions):
    """The core of a later release, with an old and a new policy installed beside its own, which are old too."""
    monkeypatch.syspath_prepend(str(HERE))
    import policy_v2

    monkeypatch.setitem(CORE_KINDS, SCHEDULERS, policy_v2.KIND)
    make = Blueprint.make_policy
    monkeypatch.setattr(Blueprint, "make_policy", lambda plan: policy_v2.SpeaksV2(make(plan)))
    distributions.add(
        "acme-old",
        {f"{SCHEDULERS}.v1": {"shortest": "old_policy:Shortest"}},
        modules={"old_policy": OLD},
    )
    distributions.add(
        "acme-new",
        {f"{SCHEDULERS}.v2": {"longest": "new_policy:Longest"}},
        modules={"new_policy": NEW},
    )
    yield policy_v2
    del sys.modules["policy_v2"]


def order_of(driver):
    """The prompts in the order in which their requests end, one row at a time."""
    names = {driver.ask(prompt): name for name, prompt in PROMPTS.items()}
    ended = []
    while driver.engine.has_unfinished or driver.engine.num_in_flight:
        ended += [names[output.request_id] for output in driver.step() if output.finished]
    driver.check()
    return ended


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("shortest", ["short", "middle", "long"]),  # v1 of a stranger
        ("fcfs", ["middle", "long", "short"]),  # v1 of the core
        ("longest", ["long", "middle", "short"]),  # v2
    ],
)
def test_plugins_of_both_majors_decide_who_runs(v2, open_engine, policy, expected):
    settings = {"select.scheduler": policy, "scheduler.max_rows": 1}

    assert order_of(open_engine(**settings)) == expected


@pytest.mark.parametrize(("policy", "is_first"), [("longest", True), ("fcfs", False)])
def test_what_the_new_major_adds_holds_for_new_plugins_only(v2, open_engine, policy, is_first):
    driver = open_engine(**{"select.scheduler": policy, "scheduler.max_rows": 1})
    driver.ask(PROMPTS["long"])
    boosted = driver.ask(PROMPTS["short"], salt="vip")

    driver.run()

    assert (next(iter(driver.outputs)) == boosted) is is_first


def test_the_running_engine_tells_it_and_the_log_once(v2, open_engine, caplog):
    with caplog.at_level(logging.WARNING):
        driver = open_engine(**{"select.scheduler": "shortest"})

    (decision,) = [d for d in driver.engine.decisions if d.kind == "schedulers"]
    reasons = {c.name: c.reasons for c in decision.candidates}
    (reason,) = reasons["shortest"]
    assert (decision.chosen, reason.code, reason.text) == ("shortest", "adapter", v2.NOTICE)
    assert "upgrade acme-old to a release for jackfield.schedulers.v2" in reason.remedy
    (told,) = [r.getMessage() for r in caplog.records if "adapter" in r.getMessage()]
    assert "'shortest' of acme-old 1.0" in told
    assert v2.NOTICE in told


def test_explain_tells_it(v2, jackfield, tmp_path):
    write_model(tmp_path / "model")
    words = [f"--set={key}={value}" for key, value in REFERENCE_SETTINGS.items()]

    done = jackfield("explain", tmp_path / "model", *words, "--set=select.scheduler=shortest")

    assert done.status == 0, done.err
    assert f"chosen       shortest [acme-old 1.0]\n      {v2.NOTICE}" in done.out


def test_the_list_of_plugins_tells_it(v2, jackfield):
    done = jackfield("plugins")
    rows = {row["name"]: row for row in json.loads(jackfield("plugins", "--json").out)["plugins"]}

    lines = [line.split() for line in done.out.splitlines()]
    assert ["jackfield.schedulers.v1", "shortest", "acme-old", "1.0", "deprecated"] in lines
    assert ["jackfield.schedulers.v2", "longest", "acme-new", "1.0", "ok"] in lines
    assert f"jackfield.schedulers shortest [acme-old 1.0]: {v2.NOTICE}" in done.out
    assert rows["shortest"]["notice"].startswith(v2.NOTICE)
    assert rows["longest"]["notice"] == ""


def test_the_report_of_a_kit_tells_it(v2):
    class Kit(ConformanceKit):
        kind, name = SCHEDULERS, "shortest"

    line, notice = table([KitReport(Subject(**Kit.subject()))])

    assert "acme-old 1.0" in line
    assert v2.NOTICE in notice


def test_a_release_that_speaks_both_majors_needs_no_adapter(v2, distributions):
    distributions.add(
        "acme-both",
        {
            f"{SCHEDULERS}.v1": {"both": "old_policy:Shortest"},
            f"{SCHEDULERS}.v2": {"both": "new_policy:Longest"},
        },
    )
    registry = PluginRegistry.scan()

    ref = registry.ref(SCHEDULERS, "both")

    assert (ref.major, registry.notices(ref)) == (2, ())
    assert type(registry.card(ref)).__name__ == "Longest"


def test_a_plugin_of_v1_is_held_to_the_contract_of_v1(v2, distributions):
    wrong = "from policy_v2 import PolicyV2\n\nclass Wrong(PolicyV2): ...\n"
    distributions.add(
        "acme-wrong",
        {f"{SCHEDULERS}.v1": {"wrong": "wrong_policy:Wrong"}},
        modules={"wrong_policy": wrong},
    )
    registry = distributions.scan()

    with pytest.raises(
        Exception, match=r"must extend jackfield\.interfaces\.policy\.SchedulingPolicy"
    ):
        registry.card(registry.ref(SCHEDULERS, "wrong"))


def test_a_major_that_no_adapter_serves_is_refused_before_import(v2, monkeypatch, distributions):
    later = replace(v2.KIND, majors=(2, 3), adapters={2: v2.ADAPTER})
    monkeypatch.setitem(CORE_KINDS, SCHEDULERS, later)
    distributions.add(
        "acme-ancient",
        {f"{SCHEDULERS}.v1": {"ancient": "ancient_policy:Policy"}},
        modules={"ancient_policy": "raise SystemExit('imported')"},
    )
    registry = distributions.scan()

    with pytest.raises(PluginIncompatible) as caught:
        registry.ref(SCHEDULERS, "ancient")

    for part in (
        "ancient (acme-ancient 1.0) speaks jackfield.schedulers v1",
        "serves v2, v3",
        "pip install -U acme-ancient",
    ):
        assert part in str(caught.value)
    assert "ancient_policy" not in sys.modules
