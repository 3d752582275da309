"""The pytest plugin, in sessions of their own, with a kit and a plugin that another distribution brings."""

import json
import os
import subprocess
import sys

import pytest

ACME = """
    from jackfield.interfaces.card import Card
    from jackfield.interfaces.platform import Platform
    from jackfield.testing.conformance.kit import ConformanceKit

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
    site = distributions.add("acme", GROUPS, modules={"acme_kit": ACME})
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(*arguments):
        command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, "--jackfield-report", "out/report.json", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )

    run.folder = folder
    run.report = lambda: json.loads((folder / "out" / "report.json").read_text())
    return run


def test_a_plugin_is_tested_without_a_test_file_and_reported(session):
    done = session(KIND, "greetings:hello")

    assert done.returncode == 1, done.stdout + done.stderr
    (plugin,) = session.report()["plugins"]
    assert (plugin["kind"], plugin["name"]) == ("jackfield_acme.greetings", "hello")
    assert (plugin["distribution"], plugin["version"]) == ("acme", "1.0")
    assert plugin["counts"] == {"passed": 3, "skipped": 1, "xfailed": 1, "failed": 1}
    tests = {test["name"]: (test["outcome"], test["reason"]) for test in plugin["tests"]}
    assert tests["test_of_nothing"] == ("skipped", "does not serve tricks")
    assert tests["test_known[b]"] == ("xfailed", "not yet")
    assert tests["test_end"][0] == "failed"
    assert "the text is wrong" in tests["test_end"][1]
    counts = "3 passed, 1 skipped, 1 expected failures, 1 failed"
    line = f"jackfield_acme.greetings:hello  {counts}  [acme 1.0]"
    assert f"{line}\n    1 skipped: does not serve tricks" in done.stdout


def test_a_test_file_of_a_few_lines_is_reported_the_same(session):
    source = (
        "from acme_kit import GreetingKit\n\nclass TestMine(GreetingKit):\n    name = 'hello'\n"
    )
    (session.folder / "test_mine.py").write_text(source)

    session()

    (plugin,) = session.report()["plugins"]
    assert (plugin["distribution"], plugin["counts"]["passed"]) == ("acme", 3)


def test_files_in_the_folder_are_left_alone_unless_they_are_named(session):
    (session.folder / "test_other.py").write_text("def test_it():\n    assert False\n")

    alone = session(KIND, "schedulers:fcfs", "-k", "options or test_it")
    both = session(KIND, "schedulers:fcfs", "-k", "options or test_it", "test_other.py")

    assert (alone.returncode, both.returncode) == (0, 1)
    assert "1 passed" in alone.stdout
    assert "1 failed, 1 passed" in both.stdout


def test_without_a_name_all_plugins_of_the_kind_are_tested(session):
    session(KIND, "schedulers", "-k", "options")

    names = [plugin["name"] for plugin in session.report()["plugins"]]
    assert names == ["fcfs", "priority"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("shedulers:fcfs", "kits: jackfield.commands"),
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
        "    assert 'jackfield.testing.conformance.kit' not in sys.modules\n"
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
