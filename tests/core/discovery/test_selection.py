"""Selection over cards: order, features, probes, checks, and the user's word."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from jackfield.decision import Reason, Verdict
from jackfield.discovery.kinds import EXECUTORS
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.rules import SelectRules
from jackfield.discovery.selection import select
from jackfield.errors import (
    ConfigError,
    PluginConflict,
    PluginIncompatible,
    PluginLoadError,
    PluginNotFound,
    SelectionError,
    UnknownSettingError,
)
from jackfield.interfaces.executor import ExecutorNeed
from jackfield.interfaces.platform import ChoicePoint

KIND = "jackfield_acme.kernels"
CARDS = """
    from jackfield.decision import Reason
    from jackfield.interfaces.card import Card

    class Plain(Card): ...
    class Windowed(Card):
        features = frozenset({"kernel.window"})
    class Anything(Card):
        features = frozenset({"*"})
    class Named(Card):
        only_named = True
    class Absent(Card):
        def probe(self): raise OSError("no such device")
    class Small(Card):
        def probe(self): return {"most": 64}
        def check(self, need, facts):
            fits = need.head_size <= facts["most"]
            return () if fits else (Reason("head_size", f"serves {facts['most']} elements", "pad"),)
    class NamedAndSmall(Small):
        only_named = True
    class Broken(Card):
        def check(self, need, facts): raise KeyError("oops")
    class Heavy(Card):
        def probe(self): raise AssertionError("was probed")
"""


@dataclass(frozen=True)
class Need:
    FEATURE: ClassVar[str] = "kernel"

    head_size: int = 64
    window: bool = False


@dataclass(frozen=True)
class Plain:
    head_size: int = 64  # no feature, because the class has no FEATURE


@pytest.fixture
def choose(distributions):
    def choose(
        cards,
        *,
        select_=None,
        need=None,
        preference=(),
        merit="",
        match=None,
        major=1,
        covers=(),
        **options,
    ):
        targets = {name: f"acme_cards:{cls}" for name, cls in cards.items()}
        distributions.add("acme", {f"{KIND}.v{major}": targets}, modules={"acme_cards": CARDS})
        registry = distributions.scan()
        registry.serve({KIND: (1,)})
        point = ChoicePoint(
            kind=KIND,
            setting="kernel",
            subject="layers 0-3",
            need=need or Plain(),
            preference=preference,
            merit=merit,
            match=match or {},
            covers=covers,
        )
        return select(registry, point, SelectRules(select_ or {}, {}), **options)

    return choose


def verdicts(decision):
    return [
        (c.name, str(c.verdict), *(reason.code for reason in c.reasons))
        for c in decision.candidates
    ]


def test_preference_comes_before_names(choose):
    ref, decision = choose(
        {"a": "Plain", "b": "Plain", "c": "Plain"}, preference=("c", "b"), preferred_by="platform x"
    )

    assert ref.name == "c"
    assert [candidate.name for candidate in decision.candidates] == ["c", "b", "a"]
    assert decision.line() == f"{KIND} for layers 0-3: c (preference of platform x)"


def test_a_preference_names_the_figures_that_it_rests_on(choose):
    _, decision = choose({"a": "Plain"}, preference=("a",), merit="a takes 1 ms, b 2")

    assert decision.decided_by == "preference of the core: a takes 1 ms, b 2"


def test_without_a_preference_the_order_of_names_decides(choose):
    ref, decision = choose({"b": "Plain", "a": "Plain"})

    assert (ref.name, decision.decided_by) == ("a", "order of names")


def test_a_candidate_that_does_not_declare_a_feature_in_use_is_refused_unprobed(choose):
    ref, decision = choose({"a": "Heavy", "b": "Windowed"}, need=Need(window=True))

    assert ref.name == "b"
    assert verdicts(decision) == [("a", "refused", "feature"), ("b", "chosen")]
    assert "kernel.window" in decision.report()
    assert decision.decided_by == "the only one that fits"


def test_one_that_declares_any_feature_is_asked(choose):
    assert choose({"a": "Anything"}, need=Need(window=True))[0].name == "a"


def test_a_probe_that_raises_is_a_failed_candidate_and_the_next_is_asked(choose):
    ref, decision = choose({"a": "Absent", "b": "Plain"})

    assert ref.name == "b"
    assert verdicts(decision) == [("a", "failed", "failed"), ("b", "chosen")]
    assert "OSError: no such device" in decision.report()


def test_a_check_that_raises_is_a_failed_candidate(choose):
    assert verdicts(choose({"a": "Broken", "b": "Plain"})[1]) == [
        ("a", "failed", "failed"),
        ("b", "chosen"),
    ]


def test_a_module_that_does_not_load_is_a_failed_candidate(choose):
    assert verdicts(choose({"a": "Gone", "b": "Plain"})[1]) == [
        ("a", "failed", "failed"),
        ("b", "chosen"),
    ]


def test_a_check_refuses_with_its_own_reasons(choose):
    _, decision = choose({"a": "Small", "b": "Plain"}, need=Plain(head_size=128))

    assert decision.candidates[0].reasons == (Reason("head_size", "serves 64 elements", "pad"),)


def test_who_is_taken_only_when_named_is_passed_over(choose):
    ref, decision = choose({"a": "Named", "b": "Plain"})

    assert ref.name == "b"
    assert 'select.kernel = "a"' in decision.report()


def test_who_is_taken_only_when_named_is_taken_when_named(choose):
    assert choose({"a": "Named", "b": "Plain"}, select_={"kernel": "a"})[0].name == "a"


def test_later_candidates_are_not_asked(choose):
    _, decision = choose({"a": "Plain", "b": "Heavy"})

    assert verdicts(decision) == [("a", "chosen"), ("b", "not asked", "not_asked")]


def test_a_thorough_selection_asks_all_and_chooses_the_same(choose):
    _, decision = choose({"a": "Plain", "b": "Heavy", "c": "Plain"}, thorough=True)

    assert verdicts(decision) == [("a", "chosen"), ("b", "failed", "failed"), ("c", "accepted")]


def test_the_need_may_depend_on_what_the_candidate_would_choose(choose):
    def tailor(ref):
        return Plain(head_size=128 if ref.name == "a" else 64)

    with pytest.raises(SelectionError, match="serves 64 elements"):
        choose({"a": "Small"}, tailor=tailor)


def test_the_users_word_wins_over_preference(choose):
    ref, decision = choose({"a": "Plain", "b": "Plain"}, preference=("a",), select_={"kernel": "b"})

    assert ref.name == "b"
    assert decision.decided_by == "code: select.kernel"
    assert verdicts(decision) == [("b", "chosen"), ("a", "not asked", "not_named")]


def test_a_rule_decides_for_its_subject_alone(choose):
    rules = [{"match": {"window": True}, "use": "b"}]

    assert (
        choose({"a": "Plain", "b": "Plain"}, select_={"kernel": rules}, match={"window": True})[
            0
        ].name
        == "b"
    )
    assert (
        choose({"a": "Plain", "b": "Plain"}, select_={"kernel": rules}, match={"window": False})[
            0
        ].name
        == "a"
    )


def test_a_named_plugin_that_does_not_fit_fails_with_the_decision(choose):
    with pytest.raises(SelectionError) as caught:
        choose({"a": "Small", "b": "Plain"}, need=Plain(head_size=128), select_={"kernel": "a"})

    assert caught.value.decision.chosen is None
    (line,) = str(caught.value).splitlines()
    for part in ("code: select.kernel names 'a'", "serves 64 elements; pad", "Name another"):
        assert part in line


def test_a_named_plugin_that_does_not_load_fails_with_its_own_error(choose):
    with pytest.raises(PluginLoadError, match="has no attribute 'Gone'"):
        choose({"a": "Gone", "b": "Plain"}, select_={"kernel": "a"})


def test_a_named_plugin_whose_check_raises_fails(choose):
    with pytest.raises(SelectionError, match="KeyError: 'oops'"):
        choose({"a": "Broken", "b": "Plain"}, select_={"kernel": "a"})


def test_a_named_plugin_that_is_not_installed_tells_what_is(choose):
    with pytest.raises(PluginNotFound, match="no kernel 'c'.*Installed and allowed: a, b"):
        choose({"a": "Plain", "b": "Plain"}, select_={"kernel": "c"})


def test_a_named_plugin_of_another_major_is_incompatible(choose):
    with pytest.raises(PluginIncompatible, match="v2"):
        choose({"a": "Plain"}, select_={"kernel": "a"}, major=2)


def test_a_plugin_of_another_major_is_listed(choose):
    with pytest.raises(SelectionError) as caught:
        choose({"a": "Plain"}, major=2)

    assert [c.verdict for c in caught.value.decision.candidates] == [Verdict.INCOMPATIBLE]
    assert "Upgrade jackfield" in str(caught.value)


def test_nothing_installed_says_so(choose):
    with pytest.raises(SelectionError, match="no plugin is installed"):
        choose({})


def test_a_name_owned_twice_stops_the_selection(choose, distributions):
    distributions.add("other", {f"{KIND}.v1": {"a": "other:A"}})

    with pytest.raises(PluginConflict, match="acme 1.0 and other 1.0"):
        choose({"a": "Plain"})


def test_naming_the_owner_ends_the_conflict(choose, distributions):
    distributions.add("other", {f"{KIND}.v1": {"a": "other:A"}})

    assert choose({"a": "Plain"}, select_={"kernel": "a@acme"})[0].distribution == "acme"


def test_a_thorough_selection_asks_those_that_are_passed_over_for_a_named_one(choose):
    cards = {"a": "Plain", "b": "Small", "c": "Plain"}
    _, decision = choose(
        cards, select_={"kernel": "c"}, need=Plain(head_size=128), preference=("b",), thorough=True
    )

    assert verdicts(decision) == [
        ("c", "chosen"),
        ("b", "refused", "not_named", "head_size"),
        ("a", "accepted", "not_named"),  # what is chosen without the setting
    ]


@pytest.mark.parametrize(
    ("head_size", "codes", "text"),
    [
        (64, ["only_named"], "is taken only where it is named; it would fit"),
        (128, ["only_named", "head_size"], "is taken only where it is named"),
    ],
)
def test_a_thorough_selection_tells_whether_one_that_must_be_named_would_fit(
    choose, head_size, codes, text
):
    cards = {"a": "NamedAndSmall", "b": "Plain"}
    _, decision = choose(cards, need=Plain(head_size=head_size), thorough=True)

    first = decision.candidates[0]
    assert first.verdict is Verdict.REFUSED
    assert [reason.code for reason in first.reasons] == codes
    assert first.reasons[0].text == text


def test_one_that_must_be_named_is_otherwise_not_asked(choose):
    _, decision = choose({"a": "NamedAndSmall", "b": "Plain"})

    assert verdicts(decision)[0] == ("a", "not asked", "only_named")


def test_what_decided_is_the_same_for_a_thorough_selection(choose):
    cards, need = {"a": "Plain", "b": "Small"}, Plain(head_size=128)

    found = {
        choose(cards, need=need, thorough=thorough)[1].decided_by for thorough in (False, True)
    }

    assert found == {"order of names"}


def test_a_decision_holds_what_candidates_were_asked_with(choose):
    _, decision = choose(
        {"a": "Anything"}, need=Need(window=True), match={"window": True}, covers=("layers.0",)
    )

    assert decision.features == ("kernel.window",)
    assert decision.match == {"window": True}
    assert decision.covers == ("layers.0",)


def test_a_failure_is_one_line_with_the_way_out_apart(choose):
    _, decision = choose({"a": "Absent", "b": "Plain"})

    (reason,) = decision.candidates[0].reasons
    assert reason.text.startswith("cannot probe the kernel 'a' of acme 1.0 (acme_cards:Absent): ")
    assert reason.text.endswith("OSError: no such device")
    assert reason.remedy.startswith("Try another release of acme")


@pytest.mark.parametrize(
    ("cards", "word", "error"),
    [
        ({"a": "Plain"}, "c", PluginNotFound),
        ({"a": "Gone", "b": "Plain"}, "a", PluginLoadError),
        ({"a": "Plain"}, [{"match": {"color": 1}, "use": "a"}], UnknownSettingError),
        ({"a": "Plain"}, 3, ConfigError),
    ],
)
def test_every_error_of_a_selection_carries_its_decision(choose, cards, word, error):
    with pytest.raises(error) as caught:
        choose(cards, select_={"kernel": word})

    decision = caught.value.decision
    assert (decision.kind, decision.chosen) == (KIND, None)
    assert {candidate.name for candidate in decision.candidates} == set(cards)


def test_the_decision_on_a_name_owned_twice_says_so_at_each_owner(choose, distributions):
    distributions.add("other", {f"{KIND}.v1": {"a": "other:A"}})

    with pytest.raises(PluginConflict) as caught:
        choose({"a": "Plain", "b": "Plain"})

    assert verdicts(caught.value.decision) == [
        ("a", "not asked", "conflict"),
        ("a", "not asked", "conflict"),
        ("b", "not asked"),
    ]


def test_a_tailor_that_fails_at_a_candidate_is_that_candidates_failure(choose):
    def tailor(ref):
        return Plain(head_size={"b": 64}[ref.name])

    ref, decision = choose({"a": "Plain", "b": "Small"}, tailor=tailor)

    assert ref.name == "b"
    assert "KeyError: 'a'" in decision.candidates[0].reasons[0].text


def test_nobody_is_told_to_upgrade_what_has_no_other_release():
    registry = PluginRegistry.scan()
    need = ExecutorNeed(num_ranks=2, platform="reference")
    point = ChoicePoint(kind=EXECUTORS, setting="executor", subject="engine", need=need)

    _, decision = select(registry, point, SelectRules({}, {}))

    (inline,) = [c for c in decision.candidates if c.name == "inline"]
    assert inline.reasons[0].remedy == "name one that does with select.executor, or do without it"
