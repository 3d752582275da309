"""The program obeys `[plugins]` and `[select]` in a user's file."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("probe_inline")

CHOICES = {
    "model_source": "folder",
    "weight_format": "config_only",
    "tokenizer": "words",
    "platform": "acme",
    "executor": "alone",
}
POLICY = "from acme_world import Policy\n"
BROKEN = "raise OSError('no driver')\n"


@pytest.fixture
def run(jackfield, world, tmp_path):
    """`jackfield WORDS --config FILE`, where the file has these lines and the choices of the world."""
    folder = world.write_model()
    file = tmp_path / "jackfield.toml"

    def run(*words, plugins="", select="", cache="", **choices):
        rows = [f'{key} = "{name}"' for key, name in {**CHOICES, **choices}.items()]
        tables = {"plugins": plugins, "select": "\n".join([select, *rows]), "cache": cache}
        file.write_text("\n".join(f"[{name}]\n{text}" for name, text in tables.items()))
        words = (words[0], folder, *words[1:]) if words[0] == "explain" else words
        return jackfield(*words, "--config", file)

    return run


def statuses(done):
    assert done.status == 0, done.err
    return {(r["name"], r["distribution"]): r["status"] for r in json.loads(done.out)["plugins"]}


def decisions(done):
    assert done.status == 0, done.err
    return {(d["kind"], d["subject"]): d for d in json.loads(done.out)["decisions"]}


def candidates(done, kind):
    return {c["name"]: c["verdict"] for c in decisions(done)[kind, "engine"]["candidates"]}


@pytest.fixture
def other(distributions):
    """A stranger with policies of its own, of which one has the name of acme's."""
    targets = {"plain": "other_policy:Policy", "quick": "other_policy:Policy"}
    distributions.add(
        "other", {"jackfield.schedulers.v1": targets}, modules={"other_policy": POLICY}
    )


@pytest.mark.parametrize(
    ("plugins", "kept"),
    [
        ('allow = ["acme"]', {"acme"}),
        ('deny = ["other"]', {"acme"}),
        ("autoload = false", set()),
        ('autoload = false\nallow = ["acme"]', {"acme"}),
        ('autoload = false\nrequired = ["quick@other"]', {"other"}),
        ('deny = ["plain@other"]', {"acme", "other"}),
    ],
)
def test_the_lists_of_a_file_say_who_is_in(run, other, plugins, kept):
    found = statuses(run("plugins", "--json", plugins=plugins))

    strangers = {key: status for key, status in found.items() if key[1] in ("acme", "other")}
    assert {owner for (_, owner), status in strangers.items() if status == "ok"} == kept
    assert set(strangers.values()) <= {"ok", "left out"}
    assert found["fcfs", "jackfield"] == "ok"


def test_what_is_left_out_is_no_candidate(run, other):
    without = run("explain", "--json", plugins='deny = ["other"]')
    without_plain = run("explain", "--json", plugins='deny = ["plain@other"]')

    assert "quick" not in candidates(without, "schedulers")
    assert "quick" in candidates(without_plain, "schedulers")


def test_naming_what_is_left_out_is_an_error_that_says_so(run, other):
    done = run("explain", plugins='deny = ["other"]', scheduler="quick")

    assert done.status == 2
    assert "no scheduling policy 'quick'" in done.out
    assert "plugins.deny may hide one" in done.out


@pytest.mark.parametrize("key", ["required", "allow"])
def test_what_is_not_installed_is_an_error_that_names_the_nearest_and_what_to_install(run, key):
    done = run("explain", plugins=f'{key} = ["acne"]')

    assert done.status == 2
    for part in (f"plugins.{key} names 'acne'", "did you mean 'acme'", "pip install acne"):
        assert part in done.err


def test_a_required_plugin_must_load_although_nothing_selects_it(run, distributions):
    distributions.add(
        "broken",
        {"jackfield.schedulers.v1": {"bad": "bad_policy:P"}},
        modules={"bad_policy": BROKEN},
    )

    assert run("explain").status == 0
    done = run("explain", plugins='required = ["broken"]')

    assert done.status == 2
    assert "'bad' of broken 1.0" in done.out
    assert "OSError: no driver" in done.out


def test_a_required_plugin_of_another_major_stops_the_start(run, distributions):
    distributions.add("next", {"jackfield.schedulers.v9": {"later": "m:P"}})

    done = run("explain", plugins='required = ["next"]')

    assert done.status == 2
    assert "later (next 1.0) speaks jackfield.schedulers v9" in done.out
    assert "Upgrade jackfield" in done.out


def test_a_name_of_two_owners_is_refused_naming_both_and_each_way_out(run, other):
    done = run("explain")

    assert done.status == 2
    for part in (
        "2 distributions own the name 'plain' of jackfield.schedulers",
        "acme 1.0 and other 1.0",
        'plugins.deny = ["plain@',
        'name the one you want in [select] as "plain@',
    ):
        assert part in done.out


@pytest.mark.parametrize(
    ("settings", "owner"),
    [
        ({"scheduler": "plain@other"}, "other"),
        ({"scheduler": "plain@acme"}, "acme"),
        ({"scheduler": "plain", "plugins": 'deny = ["plain@acme"]'}, "other"),
    ],
)
def test_the_config_decides_between_two_owners(run, other, settings, owner):
    found = decisions(run("explain", "--json", **settings))["schedulers", "engine"]

    chosen = [c["distribution"] for c in found["candidates"] if c["verdict"] == "chosen"]
    assert chosen == [owner]
    assert "jackfield.toml:" in found["decided_by"]


def test_rules_of_a_file_decide_for_each_layer_and_the_line_is_told(run):
    rules = 'kernel = [{match = {layer = 1}, use = "fast"}]'

    found = decisions(run("explain", "--json", select=rules))

    first, second = (found["jackfield_acme.kernels", f"layer {i}"] for i in (0, 1))
    assert (first["chosen"], first["decided_by"]) == ("slow", "preference of platform acme")
    assert second["chosen"] == "fast"
    assert "jackfield.toml:" in second["decided_by"]
    assert second["decided_by"].endswith("select.kernel, rule 1")


@pytest.mark.parametrize(
    ("select", "told"),
    [
        ('kernel = [{match = {layr = 1}, use = "fast"}]', "'layr'; did you mean 'layer'"),
        ("kernel = [{match = {layer = 1}}]", "must be a name or a list of rules"),
        ('kernal = "fast"', "nothing reads select.kernal"),
        ('kernel = "fasd"', "did you mean 'fast'"),
    ],
)
def test_rules_that_mean_nothing_are_refused_with_their_place(run, select, told):
    done = run("explain", select=select)

    assert done.status == 2
    assert told in done.out


def test_a_variable_that_is_no_setting_stops_every_command(run, monkeypatch):
    monkeypatch.setenv("JACKFIELD_CACHE_BLOKSIZE", "8")

    for command in ("explain", "plugins"):
        done = run(command)

        assert done.status == 2
        assert "unknown environment variable JACKFIELD_CACHE_BLOKSIZE" in done.err
        assert "did you mean 'JACKFIELD_CACHE_BLOCK_SIZE'" in done.err


def test_a_setting_that_does_not_exist_is_refused_with_its_line(run):
    done = run("explain", cache="blok_size = 8")

    assert done.status == 2
    assert "did you mean 'block_size'" in done.err
    assert "jackfield.toml:" in done.err


def test_an_engine_that_differs_from_its_lock_prints_the_difference(run, tmp_path, distributions):
    plugins = f'lock = "{tmp_path / "jackfield.lock"}"'
    assert run("plugins", "lock", plugins=plugins).status == 0
    assert run("explain", plugins=plugins).status == 0

    distributions.add("late", {"jackfield.schedulers.v1": {"late": "acme_world:Policy"}})
    done = run("explain", plugins=plugins)

    assert done.status == 2
    assert "+ late 1.0: not locked" in done.out
    assert "jackfield plugins lock" in done.out
