"""The pytest plugin, in sessions of their own, with a kit and a plugin that another distribution brings."""

import json
import os
import subprocess
import sys

import pytest

ACME = """
    from jackfield.interfaces.card import Card
    from jackfield.interfaces.platform import Platform
    from jackfield_testing.conformance.kit import ConformanceKit

    class Acme(Platform):
        serves = {"jackfield_acme.greetings": (1,)}

        def choices(self, spec, config, facts): ...

        def create_worker(self, context): ...

    class Hello(Card):
        text = "hello"

    class GreetingKit(ConformanceKit):
        kind = "jackfield_acme.greetings"
        expected_failures = {"test_known[b]": "not yet"}

        def test_text(self, card):
            assert card.text == "hello"

        def test_end(self, card):
            assert card.text == "bye", "the text is wrong"

        def test_of_nothing(self):
            import pytest
            pytest.skip("does not serve tricks")

        def answer(self):
            return "hello"

        import pytest
        @pytest.mark.parametrize("letter", "ab")
        def test_known(self, letter):
            assert letter == "a"
"""
GROUPS = {
    "jackfield.platforms.v1": {"acme": "acme_kit:Acme"},
    "jackfield_acme.greetings.v1": {"hello": "acme_kit:Hello"},
    "jackfield.conformance_kits": {"jackfield_acme.greetings": "acme_kit:GreetingKit"},
}
KIND = "--jackfield-conformance"


@pytest.fixture
def session(distributions, tmp_path):
    """Runs pytest in an empty folder, with the distribution `acme` on the path; `report` is what it wrote."""
    sites = [distributions.add("acme", GROUPS, modules={"acme_kit": ACME})]
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(*arguments):
        command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider"]
        command += ["-p", "no:schemathesis"]  # takes a second to import
        return subprocess.run(
            [*command, "--jackfield-report", "out/report.json", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sites))},
            capture_output=True,
            text=True,
            check=False,
        )

    run.sites = sites
    run.folder = folder
    run.report = lambda: json.loads((folder / "out" / "report.json").read_text())
    return run


def test_a_plugin_is_tested_without_a_test_file_and_reported(session):
    done = session(KIND, "greetings:hello")

    assert done.returncode == 1, done.stdout + done.stderr
    (plugin,) = session.report()["plugins"]
    assert (plugin["kind"], plugin["name"]) == ("jackfield_acme.greetings", "hello")
    assert (plugin["distribution"], plugin["version"]) == ("acme", "1.0")
    counts = {"passed": 6, "skipped": 1, "not_shown": 0, "xfailed": 1, "failed": 1}
    assert (plugin["counts"], plugin["complete"], plugin["overridden"]) == (counts, True, [])
    tests = {test["name"]: (test["outcome"], test["reason"]) for test in plugin["tests"]}
    assert tests["test_of_nothing"] == ("skipped", "does not serve tricks")
    assert tests["test_known[b]"] == ("xfailed", "not yet")
    assert tests["test_end"][0] == "failed"
    assert "the text is wrong" in tests["test_end"][1]
    assert all(test["duration_s"] > 0 for test in plugin["tests"])
    outcomes = "6 passed, 1 skipped, 1 expected failures, 1 failed"
    line = f"jackfield_acme.greetings:hello  {outcomes}  [acme 1.0]"
    assert f"{line}\n    1 skipped: does not serve tricks" in done.stdout


def test_a_test_file_of_a_few_lines_is_reported_the_same(session):
    source = (
        "from acme_kit import GreetingKit\n\nclass TestMine(GreetingKit):\n    name = 'hello'\n"
    )
    (session.folder / "test_mine.py").write_text(source)

    session()

    (plugin,) = session.report()["plugins"]
    assert (plugin["distribution"], plugin["counts"]["passed"]) == ("acme", 6)
    assert plugin["kit"] == "test_mine.py::TestMine"


def test_files_in_the_folder_are_left_alone_unless_they_are_named(session):
    (session.folder / "test_other.py").write_text("def test_other():\n    assert False\n")

    alone = session(KIND, "schedulers:fcfs", "-k", "options or test_other")
    both = session(KIND, "schedulers:fcfs", "-k", "options or test_other", "test_other.py")

    assert (alone.returncode, both.returncode) == (0, 1)
    assert "1 passed" in alone.stdout
    assert "1 failed, 1 passed" in both.stdout


def test_without_a_name_all_plugins_of_the_kind_are_tested(session):
    session(KIND, "schedulers", "-k", "options")

    names = [plugin["name"] for plugin in session.report()["plugins"]]
    assert names == ["fair", "fcfs", "priority"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("shedulers:fcfs", "kits: jackfield.commands"),
        ("scheduler:fcfs", "did you mean 'schedulers'"),
        ("schedulers:fcsf", "did you mean 'fcfs'"),
        ("jackfield.commands:nothing", "Installed and allowed:"),
    ],
)
def test_a_word_that_means_nothing_is_a_usage_error_with_what_is_there(session, word, said):
    done = session(KIND, word)

    assert done.returncode == 4
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_session_without_kits_imports_none_and_says_nothing(session):
    (session.folder / "test_other.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    assert 'jackfield_testing.conformance.kit' not in sys.modules\n"
        "    assert 'jackfield.discovery' not in sys.modules\n"
    )

    done = session()

    assert done.returncode == 0, done.stdout
    assert "conformance" not in done.stdout
    assert session.report()["plugins"] == []


def test_a_kit_that_cannot_be_loaded_is_a_usage_error_that_names_it(session, distributions):
    group = {"jackfield.conformance_kits": {"jackfield_acme.kernels": "no_such_module:Kit"}}
    site = distributions.add("acme-kernels", group)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", KIND, "kernels"]

    done = subprocess.run(
        command,
        cwd=session.folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4
    assert "no_such_module:Kit of acme-kernels 1.0" in done.stderr


def test_two_classes_for_one_plugin_are_two_reports(session):
    (session.folder / "test_mine.py").write_text(
        "from acme_kit import GreetingKit\n"
        "class TestFirst(GreetingKit):\n    name = 'hello'\n"
        "class TestSecond(GreetingKit):\n    name = 'hello'\n"
        "    expected_failures = {'test_end': 'so it is', 'test_known[b]': 'not yet'}\n"
    )

    done = session()

    first, second = session.report()["plugins"]
    assert (first["counts"]["failed"], second["counts"]["failed"]) == (1, 0)
    assert (first["kit"], second["kit"]) == ("test_mine.py::TestFirst", "test_mine.py::TestSecond")
    assert "1 failed  [acme 1.0]  test_mine.py::TestFirst\n" in done.stdout


def test_what_did_not_run_and_what_was_changed_is_told(session):
    (session.folder / "test_mine.py").write_text(
        "from acme_kit import GreetingKit\n"
        "class TestMine(GreetingKit):\n    name = 'hello'\n"
        "    def answer(self):\n        return 'good day'\n"
    )

    done = session("test_mine.py::TestMine::test_known")

    (plugin,) = session.report()["plugins"]
    assert (plugin["complete"], plugin["overridden"]) == (False, ["answer"])
    assert plugin["not_run"] == [
        "test_end",
        "test_importing_it_loads_no_tensor_library",
        "test_importing_it_starts_no_thread",
        "test_importing_it_takes_no_time",
        "test_it_can_be_loaded",
        "test_of_nothing",
        "test_text",
    ]
    assert "0 failed, 7 not run  [acme 1.0]" in done.stdout


def test_a_run_that_stops_at_the_first_failure_is_not_complete(session):
    session(KIND, "greetings:hello", "-x")

    (plugin,) = session.report()["plugins"]
    assert (plugin["complete"], "test_known[a]" in plugin["not_run"]) == (False, True)


def test_an_expected_failure_of_parameters_that_do_not_exist_is_a_usage_error(session):
    (session.folder / "test_mine.py").write_text(
        "from acme_kit import GreetingKit\n"
        "class TestMine(GreetingKit):\n    name = 'hello'\n"
        "    expected_failures = {'test_known[c]': 'not yet'}\n"
    )

    done = session()

    assert done.returncode == 4
    assert "'test_known[c]', but the kit has only: test_known[a], test_known[b]" in done.stderr


def test_a_printed_test_can_be_run_again(session):
    done = session("jackfield-conformance::greetings:hello::test_known[a]")

    assert done.returncode == 0, done.stdout + done.stderr
    (plugin,) = session.report()["plugins"]
    assert [test["name"] for test in plugin["tests"]] == ["test_known[a]"]


def test_a_report_that_cannot_be_written_is_known_before_the_run(session):
    (session.folder / "out").write_text("a file, where a folder is needed")

    done = session(KIND, "greetings:hello")

    assert done.returncode == 4
    assert "--jackfield-report: cannot write out/report.json" in done.stderr


def test_what_the_plugin_finds_on_this_machine_is_in_the_report(session):
    session(KIND, "schedulers:fcfs", "-k", "options")

    (plugin,) = session.report()["plugins"]
    assert plugin["facts"] == {}


def test_a_plugin_that_cannot_be_loaded_fails_once(session):
    (session.folder / "test_mine.py").write_text(
        "from acme_kit import GreetingKit\nclass TestMine(GreetingKit):\n    name = 'hallo'\n"
    )

    session()

    (plugin,) = session.report()["plugins"]
    failed = [test["name"] for test in plugin["tests"] if test["outcome"] == "failed"]
    assert (failed, plugin["counts"]["skipped"]) == (["test_it_can_be_loaded"], 8)


FORMAT = """
    import pytest
    from jackfield.decision import Reason
    from jackfield.errors import ModelNotFound
    from jackfield.interfaces.model_source import ModelFiles, ModelSource
    from jackfield_testing.conformance.model_source import ModelSourceKit, SampleModel

    class Shelf(ModelSource):
        def check(self, need, facts):
            return () if need.text.startswith("shelf:") else (Reason("form", "is no shelf:NAME"),)

        def resolve(self, reference):
            raise ModelNotFound("the shelf is empty")

    class ShelfKit(ModelSourceKit):
        @pytest.fixture
        def sample(self):
            return SampleModel(text="shelf:tiny", files={}, missing="shelf:nothing")
"""
SHELF = {"jackfield.model_sources.v1": {"shelf": "acme_shelf:Shelf"}}
SAMPLED = ("-k", "its_own_references")


@pytest.fixture
def shelf(session, distributions):
    """A session with the distribution `acme-shelf`, whose kit is given."""

    def add(kit=None):
        kits = {"jackfield.conformance_kits": {"jackfield.model_sources/shelf": kit}} if kit else {}
        modules = {"acme_shelf": FORMAT}
        session.sites.append(distributions.add("acme-shelf", {**SHELF, **kits}, modules=modules))
        return session

    return add


def test_what_the_kit_has_no_sample_of_is_told_apart_and_fails_if_asked(shelf):
    session = shelf()

    lax = session(KIND, "model_sources:shelf", *SAMPLED)
    strict = session(KIND, "model_sources:shelf", *SAMPLED, "--jackfield-strict")

    assert (lax.returncode, strict.returncode) == (0, 1)
    assert "    1 not shown: refuses the kit's sample" in lax.stdout
    assert "(--jackfield-strict was given)" in strict.stdout


def test_a_distribution_brings_the_kit_of_its_plugin(shelf):
    session = shelf(kit="acme_shelf:ShelfKit")

    done = session(KIND, "model_sources:shelf", *SAMPLED)

    assert "1 passed" in done.stdout, done.stderr
    assert session.report()["plugins"][0]["overridden"] == ["sample"]


def test_a_kit_of_another_kind_is_no_kit_of_the_plugin(shelf):
    session = shelf(kit="acme_kit:GreetingKit")

    done = session(KIND, "model_sources:shelf")

    assert done.returncode == 4
    assert "does not extend jackfield_testing.conformance.model_source.Mod" in done.stderr
