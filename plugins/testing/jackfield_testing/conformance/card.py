"""The duties of every kind of card: plain facts, a pure check, settings that cannot change."""

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from jackfield.config.options import read_options
from jackfield.config.schema import EngineConfig
from jackfield.config.settings import did_you_mean
from jackfield.decision import Reason
from jackfield.features import possible_features
from jackfield.interfaces.card import Card
from jackfield.sampling import SamplingParams
from jackfield_testing.conformance.kit import HEAVY, ConformanceKit, run_fresh

_CHECK = """
import json, pickle, sys
path, heavy = json.loads(sys.argv[1])
sys.path[:] = path
from pathlib import Path
from types import MappingProxyType
from jackfield.discovery.loading import load_target
ref, facts, needs = pickle.load(sys.stdin.buffer)
card = load_target(ref)
before = {name for name in heavy if name in sys.modules}
answers = [[str(reason) for reason in card.check(need, MappingProxyType(facts))] for need in needs]
loaded = sorted(name for name in heavy if name in sys.modules and name not in before)
print()
print(json.dumps([loaded, answers]))
"""
_FEATURE = re.compile(r"\*|[a-z_0-9]+\.[\w.]+(=\S+)?")


class CardKit(ConformanceKit):
    """The kit of a kind with cards extends this class and yields `needs`."""

    @pytest.fixture
    def needs(self) -> Iterable[Any]:
        """Needs that a selection would ask plugins of this kind about: some that they serve, some that they refuse."""
        return ()

    def test_the_card_is_made_without_arguments(self, card: Card) -> None:
        """Each engine makes a card of its own."""
        assert type(type(card)()) is type(card)

    def test_features_are_names(self, card: Card) -> None:
        """Names have the form of `features_in_use`: `attention.window`, `norm.kind=layer`, or `*`."""
        features = card.features
        assert isinstance(features, frozenset), f"features is {features!r}, not a frozenset"
        wrong = [name for name in features if not (isinstance(name, str) and _FEATURE.match(name))]
        assert wrong == [], f"features has {wrong}, not names such as 'attention.window'"

    def test_features_are_those_that_may_be_asked(self, card: Card, needs: Iterable[Any]) -> None:
        """A misspelt feature is never in use, and the feature that it should name is refused."""
        known = frozenset().union(*map(possible_features, [*needs, SamplingParams()]))
        words = {name.partition(".")[0] for name in known}
        declared = {name.partition("=")[0] for name in card.features}
        unions = {name.partition("=")[0] for name in card.features if "=" in name}
        wrong = [n for n in sorted(declared - known - unions) if n.partition(".")[0] in words]
        assert wrong == [], f"there is no feature {wrong[0]!r}{did_you_mean(wrong[0], known)}"

    def test_facts_are_plain_and_can_be_saved(self, card: Card) -> None:
        """A file of facts stands in for this machine on another machine."""
        try:
            facts = card.probe()  # a registry reports facts of the wrong kind as an error
        except Exception as error:
            pytest.skip(f"does not work here: {type(error).__name__}: {error}")
        for key, value in facts.items():
            assert isinstance(key, str), f"the fact {key!r} has a name that is no str"
            is_plain = value is None or type(value) in (str, int, float, bool)
            assert is_plain, f"the fact {key} is {value!r}, no str, int, float, bool or None"
        assert json.loads(json.dumps(dict(facts), allow_nan=False)) == dict(facts)

    def test_a_second_probe_finds_the_same_facts(self, card: Card) -> None:
        """Values such as free memory may change; names and types may not."""
        first, second = ({k: type(v) for k, v in f.items()} for f in (self.facts(), card.probe()))
        assert second == first

    def test_check_is_pure(self, card: Card, needs: Iterable[Any]) -> None:
        """Another card and saved facts give the same answer; nothing is changed, nothing heavy is imported."""
        facts = json.loads(json.dumps(dict(self.facts())))
        is_asked = False
        for need in needs:
            is_asked, before = True, copy.deepcopy(need)
            loaded = {name for name in HEAVY if name in sys.modules}
            reasons = card.check(need, MappingProxyType(facts))
            assert {name for name in HEAVY if name in sys.modules} == loaded, "check imports"
            assert type(card)().check(need, MappingProxyType(facts)) == reasons
            assert need == before, f"check changed its need from {before} to {need}"
        if not is_asked:
            pytest.skip("the kit of this kind has no needs to ask for")

    def test_check_needs_facts_alone(self, card: Card, needs: Iterable[Any]) -> None:
        """A fresh interpreter that never probed gives the same answer and imports nothing heavy: facts may come from
        a file.
        """
        asked, facts = list(needs), json.loads(json.dumps(dict(self.facts())))
        if not asked:
            pytest.skip("the kit of this kind has no needs to ask for")
        answers = [
            [str(one) for one in card.check(need, MappingProxyType(facts))] for need in asked
        ]
        data = pickle.dumps((self.ref(), facts, asked))
        done = run_fresh(_CHECK, [[str(Path.cwd()), *sys.path], HEAVY], data)
        assert done.returncode == 0, f"check fails:\n{done.stderr.decode()}"
        heavy, others = json.loads(done.stdout.splitlines()[-1])
        assert heavy == [], f"check imports {', '.join(heavy)}"
        assert others == answers

    def test_a_refusal_gives_reasons(self, card: Card, needs: Iterable[Any]) -> None:
        """A refusal is a tuple of reasons, each with a code for programs and a sentence for people."""
        facts = self.facts()
        for need in needs:
            reasons = card.check(need, facts)
            assert isinstance(reasons, tuple), f"check returned {reasons!r}, not a tuple"
            for reason in reasons:
                assert isinstance(reason, Reason), f"check returned {reason!r}, not a Reason"
                assert reason.code, f"{reason!r} has no code"
                assert reason.text, f"{reason!r} has no text"

    def test_options_are_a_frozen_dataclass_with_defaults(self, card: Card) -> None:
        """Options are read from `[options.NAME]`, which a user may leave out. None: the plugin has no options."""
        options = card.options
        if options is None:
            return
        assert is_dataclass(options), f"options is {options!r}, no dataclass"
        values = read_options(options, self.name, EngineConfig())
        assert read_options(options, self.name, EngineConfig()) == values
        names = [field.name for field in fields(values)]
        with pytest.raises(AttributeError):
            setattr(values, names[0] if names else "anything", None)
