"""A runtime serves an old major of its own kinds by the adapters that its platforms name, in every process."""

import pytest

from jackfield.activation import ActivationPlan, Selection
from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.profile import Profile
from jackfield.discovery.selected import load_selected
from jackfield.errors import PluginLoadError

KIND = "jackfield_acme.kernels"
RUNTIME = """
    from typing import ClassVar

    from jackfield.interfaces.adapter import AdaptedCard, Adapter
    from jackfield.interfaces.card import Card
    from jackfield.interfaces.platform import Platform

    class OldKernel(Card):
        def run(self): ...

    class Kernel(Card):
        def run_all(self): ...

    class AdaptedKernel(AdaptedCard, Kernel):
        def run_all(self):
            return [self.old.run()]

    class Acme(Platform):
        serves: ClassVar = {"jackfield_acme.kernels": (1, 2)}
        adapters: ClassVar = {"jackfield_acme.kernels": {1: Adapter(
            adapt=AdaptedKernel, base=OldKernel, deprecated_since="acme 2", removed_in="acme 3")}}

        def choices(self, spec, config, facts):
            return ()

        def create_worker(self, context): ...
"""
KERNELS = """
    from acme_runtime import Kernel, OldKernel

    class Slow(OldKernel):
        def run(self):
            return "slow"

    class Fast(Kernel):
        def run_all(self):
            return ["fast"]

    class Wrong: ...
"""


@pytest.fixture
def registry(distributions):
    old = {"slow": "acme_kernels:Slow", "wrong": "acme_kernels:Wrong"}
    distributions.add(
        "acme",
        {
            "jackfield.platforms.v1": {"acme": "acme_runtime:Acme"},
            f"{KIND}.v1": old,
            f"{KIND}.v2": {"fast": "acme_kernels:Fast"},
        },
        modules={"acme_runtime": RUNTIME, "acme_kernels": KERNELS},
    )
    registry = distributions.scan()
    registry.serve_all()
    return registry


@pytest.mark.parametrize(("name", "num_notices"), [("slow", 1), ("fast", 0)])
def test_both_majors_answer_as_the_newest_does(registry, name, num_notices):
    ref = registry.ref(KIND, name)

    assert registry.card(ref).run_all() == [name]
    assert len(registry.notices(ref)) == num_notices


def test_an_old_plugin_must_extend_the_old_class(registry):
    with pytest.raises(PluginLoadError, match=r"Wrong must extend acme_runtime\.OldKernel"):
        registry.card(registry.ref(KIND, "wrong"))


@pytest.mark.parametrize("name", ["slow", "fast"])
def test_a_worker_adapts_by_the_platform_of_its_plan(registry, name):
    selections = [
        Selection(subject="engine", plugin=registry.ref(PLATFORMS, "acme")),
        Selection(subject="layer 0", plugin=registry.ref(KIND, name)),
    ]

    card = load_selected(ActivationPlan(selections=tuple(selections)), KIND)

    assert card.run_all() == [name]


def test_an_old_plugin_without_a_probe_needs_no_facts_of_another_machine(registry):
    profile = Profile(name="elsewhere", machine={}, facts={}, failed={})
    ref = registry.ref(KIND, "slow")

    assert profile.probe(ref, registry.card(ref)) == {}
