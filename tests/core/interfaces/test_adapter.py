"""What adapters pass on of the cards behind them."""

from jackfield.decision import Reason
from jackfield.interfaces.adapter import AdaptedCard, Adapter, has_probe
from jackfield.interfaces.card import Card


class Plain(Card): ...


class Old(Card):
    features = frozenset({"kernel.window"})
    options = dict
    facts_last = False
    only_named = True

    def probe(self):
        return {"cores": 4}

    def check(self, need, facts):
        return (Reason("cores", f"{facts['cores']} are not {need}"),)


class New(Card):
    features = frozenset({"kernel.window", "kernel.new"})


class OldAsNew(AdaptedCard, New): ...


def test_an_adapted_card_declares_what_the_old_one_does_and_nothing_new():
    card = OldAsNew(Old())

    assert isinstance(card, New)
    assert card.features == {"kernel.window"}
    assert (card.options, card.facts_last, card.only_named) == (dict, False, True)
    assert New.features == {"kernel.window", "kernel.new"}


def test_probe_and_check_are_those_of_the_old_card():
    card = OldAsNew(Old())

    (reason,) = card.check(5, card.probe())
    assert reason.text == "4 are not 5"


def test_a_probe_is_found_behind_an_adapter():
    found = [has_probe(card) for card in (Old(), Plain(), OldAsNew(Old()), OldAsNew(Plain()))]

    assert found == [True, False, True, False]


def test_a_notice_tells_what_since_when_and_until_when():
    adapter = Adapter(adapt=OldAsNew, base=Old, deprecated_since="acme 2.1", removed_in="acme 2.4")

    assert adapter.notice(1) == (
        "v1, served by an adapter, deprecated since acme 2.1, removed in acme 2.4"
    )
