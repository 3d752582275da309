"""Which plugin a name means, and the errors if it means none or two."""

import sys

import pytest

from jackfield.discovery.kinds import MODELS, PLATFORMS
from jackfield.errors import (
    PluginConflict,
    PluginIncompatible,
    PluginLoadError,
    PluginNotFound,
)

MODEL = "def build(config): ...\ndef other(config): ..."
CARD = """
    from jackfield.interfaces.tokenizer import TokenizerFormat
    made = []
    class Format(TokenizerFormat):
        def __init__(self): made.append(self)
        def open(self, files): ...
        def probe(self):
            made.append("probe")
            return {"there": True}
"""


def add_model(distributions, name, *, group="jackfield.models.v1", model="Tiny", **kwargs):
    distributions.add(
        name, {group: {model: f"{name}_model:build"}}, modules={f"{name}_model": MODEL}, **kwargs
    )


def test_a_name_means_the_plugin_of_that_name(distributions):
    add_model(distributions, "acme")

    assert distributions.scan().ref("models", "Tiny").distribution == "acme"


def test_a_kind_may_be_named_with_or_without_the_core(distributions):
    add_model(distributions, "acme")
    registry = distributions.scan()

    assert registry.refs("models") == registry.refs("jackfield.models") == registry.refs(MODELS)


def test_an_unknown_kind_names_the_nearest(distributions):
    with pytest.raises(
        PluginNotFound, match=r"no kind of plugin 'modles'.*did you mean 'jackfield.models'"
    ):
        distributions.scan().refs("modles")


def test_an_unknown_name_tells_what_is_installed_and_what_to_install(distributions):
    add_model(distributions, "acme")

    with pytest.raises(PluginNotFound) as caught:
        distributions.scan().ref(MODELS, "Tinny")

    for part in (
        "no model 'Tinny'",
        "did you mean 'Tiny'",
        "Installed and allowed: Tiny",
        "pip install jackfield-tinny",
    ):
        assert part in str(caught.value)


def test_two_distributions_of_one_name_are_an_error_that_names_both(distributions):
    add_model(distributions, "acme", version="1.0")
    add_model(distributions, "other", version="3.1")

    with pytest.raises(PluginConflict) as caught:
        distributions.scan().ref(MODELS, "Tiny")

    for part in ("'Tiny'", "acme 1.0 and other 3.1", "plugins.deny", '"Tiny@acme"'):
        assert part in str(caught.value)


def test_naming_the_distribution_ends_a_conflict(distributions):
    add_model(distributions, "acme")
    add_model(distributions, "other")

    assert distributions.scan().ref(MODELS, "Tiny@Other").distribution == "other"


def test_denying_one_owner_ends_a_conflict(distributions):
    add_model(distributions, "acme")
    add_model(distributions, "other")

    assert distributions.scan(deny=("Tiny@acme",)).ref(MODELS, "Tiny").distribution == "other"


def test_a_conflict_is_listed_among_the_problems(distributions):
    add_model(distributions, "acme")
    add_model(distributions, "other")

    assert [problem.code for problem in distributions.scan().problems] == ["conflict"]


def test_a_plugin_of_a_newer_major_is_refused_with_the_way_out_and_never_imported(distributions):
    distributions.add(
        "acme",
        {"jackfield.models.v2": {"Tiny": "acme_model:build"}},
        modules={"acme_model": "raise Exception"},
    )
    registry = distributions.scan()

    with pytest.raises(PluginIncompatible) as caught:
        registry.ref(MODELS, "Tiny")

    for part in ("acme 1.0", "speaks jackfield.models v2", "serves v1", "Upgrade jackfield"):
        assert part in str(caught.value)
    assert registry.refs(MODELS) == ()
    assert [ref.name for ref in registry.incompatible(MODELS)] == ["Tiny"]
    assert "acme_model" not in sys.modules


def test_a_plugin_of_an_older_major_is_to_be_upgraded_itself(distributions):
    add_model(distributions, "acme", group="jackfield.models.v0")

    with pytest.raises(PluginIncompatible, match="pip install -U acme"):
        distributions.scan().ref(MODELS, "Tiny")


def test_of_several_served_majors_the_highest_counts(distributions):
    kind = "jackfield_acme.kernels"
    distributions.add(
        "acme", {f"{kind}.v{major}": {"fast": f"acme:V{major}"} for major in (1, 2, 3)}
    )
    registry = distributions.scan()

    registry.serve({kind: (1, 2)})

    assert [ref.major for ref in registry.refs(kind)] == [2]
    assert registry.incompatible(kind) == ()


def test_a_reserved_kind_serves_no_version_yet(distributions):
    distributions.add("acme", {"jackfield.kv_stores.v1": {"fast": "acme:Fast"}})

    with pytest.raises(PluginIncompatible, match="serves no version yet"):
        distributions.scan().ref("kv_stores", "fast")


def test_a_misspelt_group_is_a_problem_that_names_the_nearest(distributions):
    add_model(distributions, "acme", group="jackfield.modells.v1")

    (problem,) = distributions.scan().problems

    assert "did you mean 'jackfield.models'" in str(problem)


def test_a_kind_of_a_runtime_is_known_once_a_platform_serves_it(distributions):
    kind = "jackfield_acme.kernels"
    distributions.add("acme", {f"{kind}.v1": {"fast": "acme:Fast"}})
    registry = distributions.scan()
    before = [problem.code for problem in registry.problems]

    registry.serve({kind: (1,)})

    assert (before, registry.problems) == (["kind"], ())


def test_all_platforms_that_load_say_what_they_serve(distributions):
    source = """
        from jackfield.interfaces.platform import Platform
        class Acme(Platform):
            serves = {"jackfield_acme.kernels": (1,)}
            def choices(self, spec, config, facts): return ()
            def create_worker(self, context): ...
    """
    targets = {"acme": "acme_platform:Acme", "broken": "acme_platform:Gone"}
    distributions.add(
        "acme", {"jackfield.platforms.v1": targets}, modules={"acme_platform": source}
    )
    registry = distributions.scan()

    registry.serve_all()

    assert registry.kind("jackfield_acme.kernels").majors == (1,)
    assert [(p.kind, p.name, p.code) for p in registry.problems] == [(PLATFORMS, "broken", "load")]


def test_cards_and_facts_are_made_once(distributions):
    distributions.add(
        "acme",
        {"jackfield.tokenizers.v1": {"acme": "acme_card:Format"}},
        modules={"acme_card": CARD},
    )
    registry = distributions.scan()
    ref = registry.ref("tokenizers", "acme")

    facts = [registry.facts(ref) for _ in range(2)]

    assert facts == [{"there": True}, {"there": True}]
    assert sys.modules["acme_card"].made == [registry.card(ref), "probe"]


def test_a_plugin_that_fails_is_a_problem_once_and_fails_again_without_an_import(distributions):
    source = "import sys; sys.count = getattr(sys, 'count', 0) + 1; raise ValueError('no')"
    distributions.add(
        "acme",
        {"jackfield.models.v1": {"Tiny": "acme_model:build"}},
        modules={"acme_model": source},
    )
    registry = distributions.scan()

    for _ in range(2):
        with pytest.raises(PluginLoadError, match="ValueError: no"):
            registry.card(registry.ref(MODELS, "Tiny"))

    assert sys.__dict__.pop("count") == 1
    assert [(problem.code, problem.error) for problem in registry.problems] == [
        ("load", "ValueError: no")
    ]


def test_a_required_distribution_must_load(distributions):
    distributions.add("acme", {"jackfield.models.v1": {"Tiny": "acme_gone:build"}})
    registry = distributions.scan(required=("acme",))

    with pytest.raises(PluginLoadError, match="acme_gone"):
        registry.check_required(("acme",))


def test_a_required_distribution_must_speak_a_served_major(distributions):
    add_model(distributions, "acme", group="jackfield.models.v2")

    with pytest.raises(PluginIncompatible, match="v2"):
        distributions.scan(required=("acme",)).check_required(("acme",))


def test_a_required_distribution_that_loads_passes(distributions):
    add_model(distributions, "acme")
    registry = distributions.scan(required=("acme",))

    registry.check_required(("acme",))

    assert registry.problems == ()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("jackfield.modles", "no kind 'jackfield.modles'; did you mean 'jackfield.models'? Kinds"),
        (f"jackfield.{'q' * 30}", "qqq'. Kinds of the core"),
    ],
)
def test_a_problem_is_told_in_whole_sentences(distributions, kind, said):
    distributions.add("acme", {f"{kind}.v1": {"a": "acme:A"}})

    (problem,) = (p for p in distributions.scan().problems if p.distribution == "acme")
    assert said in str(problem)


def test_the_facts_of_those_that_were_probed_are_there(distributions):
    targets = {"acme": "acme_card:Format"}
    distributions.add("acme", {"jackfield.tokenizers.v1": targets}, modules={"acme_card": CARD})
    registry = distributions.scan()
    ref = registry.ref("tokenizers", "acme")

    assert registry.probed == {}
    registry.facts(ref)
    assert registry.probed == {ref: {"there": True}}


def test_what_a_platform_says_of_a_kind_of_the_core_is_passed_over(distributions):
    registry = distributions.scan()

    registry.serve({"jackfield.tokenizers": (7,)})

    assert registry.kind("tokenizers").majors == (1,)


BASED = """
    from acme_kernel import Kernel
    from jackfield.interfaces.card import Card
    from jackfield_testing.platform import ReferencePlatform
    class Device(ReferencePlatform):
        serves = {"jackfield_acme.kernels": (1,)}
        bases = {"jackfield_acme.kernels": Kernel}
    class Good(Kernel): ...
    class Stranger(Card): ...
"""


def test_a_kind_of_a_runtime_has_the_base_class_that_its_platform_names(distributions):
    groups = {
        "jackfield.platforms.v1": {"device": "acme_device:Device"},
        "jackfield_acme.kernels.v1": {"good": "acme_device:Good", "bad": "acme_device:Stranger"},
    }
    kernel = "from jackfield.interfaces.card import Card\nclass Kernel(Card): ..."
    distributions.add("acme", groups, modules={"acme_device": BASED, "acme_kernel": kernel})
    registry = distributions.scan()
    registry.serve_all()

    assert registry.card(registry.ref("jackfield_acme.kernels", "good"))
    with pytest.raises(PluginLoadError, match=r"Stranger must extend acme_kernel\.Kernel"):
        registry.card(registry.ref("jackfield_acme.kernels", "bad"))
