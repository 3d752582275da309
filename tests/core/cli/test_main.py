"""The program: commands are plugins, errors are messages, and one broken plugin hurts no other."""

import re
import resource
import subprocess
import sys

import pytest

from jackfield import __version__
from jackfield.discovery.registry import PluginRegistry

COMMANDS = "jackfield.commands.v1"
MAX_HELP_S = 0.3
TRIES = 5
SOURCE = """
    from jackfield.errors import ConfigError, WorkerError
    from jackfield.interfaces.command import Command

    class Greet(Command):
        summary = "say hello"
        def add_arguments(self, parser):
            parser.add_argument("name")
        def run(self, arguments):
            if arguments.name == "nobody": raise ConfigError("no one to greet")
            if arguments.name == "worker": raise WorkerError("worker 0 died")
            if arguments.name == "interrupt": raise KeyboardInterrupt
            if arguments.name == "bug": raise ZeroDivisionError("bug")
            print("hello", arguments.name)
            return 7
"""


@pytest.fixture
def greet(distributions):
    distributions.add(
        "acme", {COMMANDS: {"greet": "acme_greet:Greet"}}, modules={"acme_greet": SOURCE}
    )


def test_help_lists_the_commands_of_all_distributions(jackfield, greet):
    done = jackfield("--help")

    assert done.status == 0
    for line in ("greet", "say hello", "explain", "doctor", "plugins"):
        assert line in done.out


def test_a_command_runs_and_its_status_is_the_programs(jackfield, greet):
    done = jackfield("greet", "world")

    assert (done.status, done.out) == (7, "hello world\n")


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [("nobody", 2, "no one to greet"), ("worker", 1, "worker 0 died"), ("interrupt", 130, "")],
)
def test_an_error_is_one_message_without_a_traceback(jackfield, greet, name, status, text):
    done = jackfield("greet", name)

    assert (done.status, done.out) == (status, "")
    assert done.err == (f"jackfield: error: {text}\n" if text else "")


@pytest.mark.parametrize("words", [("--debug", "greet", "nobody"), ("greet", "--debug", "nobody")])
def test_debug_prints_the_traceback_too(jackfield, greet, words):
    done = jackfield(*words)

    assert done.status == 2
    assert "Traceback" in done.err
    assert "jackfield: error: no one to greet" in done.err


def test_a_bug_is_not_hidden(jackfield, greet):
    with pytest.raises(ZeroDivisionError):
        jackfield("greet", "bug")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise OSError('broken')", "OSError: broken"),
        ("class Greet: ...", "must extend"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        (SOURCE.replace('"say hello"', "None"), "Greet.summary must be text, got None"),
        (
            SOURCE.replace('parser.add_argument("name")', "raise SystemExit(0)"),
            "SystemExit: 0",
        ),
        (
            SOURCE.replace('parser.add_argument("name")', "raise TypeError('broken')"),
            "TypeError: broken",
        ),
    ],
)
def test_a_broken_command_breaks_no_other_and_says_what_is_wrong(
    jackfield, distributions, source, told
):
    distributions.add(
        "acme", {COMMANDS: {"greet": "acme_greet:Greet"}}, modules={"acme_greet": source}
    )

    listed, other, called = (
        jackfield("--help"),
        jackfield("plugins", "--help"),
        jackfield("greet", "--x", "1", "world"),
    )

    assert (listed.status, other.status, called.status) == (0, 0, 2)
    assert "greet" in listed.out
    assert told in called.err
    assert "of acme 1.0" in called.err


def test_an_argument_that_a_sound_command_does_not_know_is_wrong_usage(jackfield, greet):
    done = jackfield("greet", "world", "--x")

    assert done.status == 2
    assert "unrecognized arguments: --x" in done.err


def test_a_command_that_does_not_load_is_listed_as_broken(jackfield, distributions):
    distributions.add("acme", {COMMANDS: {"greet": "acme_gone:Greet"}})

    assert re.search(r"greet +\(broken: see jackfield plugins check\)", jackfield("--help").out)


def test_two_commands_of_one_name_are_a_conflict_when_called_and_break_no_other(
    jackfield, greet, distributions
):
    distributions.add("other", {COMMANDS: {"greet": "other:Greet"}})

    assert jackfield("plugins", "--help").status == 0
    assert "acme 1.0 and other 1.0" in jackfield("greet", "world").err


def test_a_command_of_the_core_is_not_displaced_and_the_conflict_is_told(jackfield, distributions):
    distributions.add(
        "acme", {COMMANDS: {"plugins": "acme_greet:Greet"}}, modules={"acme_greet": SOURCE}
    )

    done = jackfield("plugins", "--json")

    assert done.status == 0
    assert "acme 1.0 has a command 'plugins' too; the built-in one runs" in done.err
    assert 'plugins.deny = ["plugins@acme"]' in done.err
    assert "acme_greet" not in sys.modules
    assert jackfield("plugins", "--json", "--set", "plugins.deny=plugins@acme").err == ""


def test_a_command_of_the_core_gives_way_where_it_is_denied(jackfield, distributions, monkeypatch):
    distributions.add(
        "acme", {COMMANDS: {"models": "acme_greet:Greet"}}, modules={"acme_greet": SOURCE}
    )
    monkeypatch.setenv("JACKFIELD_PLUGINS_DENY", "models@jackfield")

    assert jackfield("models", "world").out == "hello world\n"


def test_a_command_of_another_major_is_not_run(jackfield, distributions):
    distributions.add("acme", {"jackfield.commands.v9": {"greet": "acme_greet:Greet"}})

    done = jackfield("greet", "world")

    assert done.status == 2
    assert "invalid choice: 'greet'" in done.err


def test_settings_decide_which_commands_there_are(jackfield, greet, monkeypatch):
    monkeypatch.setenv("JACKFIELD_PLUGINS", "none")

    assert "greet" not in jackfield("--help").out


def test_wrong_settings_do_not_keep_the_help_away_and_are_told_by_the_command(
    jackfield, monkeypatch
):
    monkeypatch.setenv("JACKFIELD_MODLE_DTYPE", "float32")

    assert jackfield("--help").status == 0
    done = jackfield("plugins")
    assert done.status == 2
    assert "did you mean 'JACKFIELD_MODEL_DTYPE'" in done.err


def test_wrong_settings_let_no_command_of_others_in(jackfield, greet):
    done = jackfield("greet", "world", "--set", "plugins.deny=acmee")

    assert (done.status, done.out) == (2, "")
    assert "plugins.deny names 'acmee'" in done.err


def test_a_command_that_the_settings_leave_out_says_so(jackfield, greet, monkeypatch):
    monkeypatch.setenv("JACKFIELD_PLUGINS_DENY", "acme")

    assert "the command 'greet' of acme is left out by plugins.deny" in jackfield("greet").err


def test_to_deny_all_of_the_core_is_told_as_what_it_is(jackfield, monkeypatch):
    monkeypatch.setenv(
        "JACKFIELD_PLUGINS_DENY",
        "jackfield, jackfield-bench, jackfield-openai-server, jackfield-quantize, jackfield-testing",
    )

    done = jackfield("plugins")

    assert done.status == 2
    assert "[plugins] would leave no command: " in done.err
    assert "plugins@jackfield" in done.err


def test_the_version_is_printed(jackfield):
    assert jackfield("--version").out == f"jackfield {__version__}\n"


def test_without_a_command_the_commands_are_listed(jackfield):
    done = jackfield()

    assert done.status == 0
    assert "usage: jackfield" in done.out
    assert "answer prompts and print the text" in done.out


def test_a_slip_in_an_option_gets_the_nearest_one(jackfield):
    assert "did you mean --max-tokens?" in jackfield("generate", "x", "--max-new-tokens", "3").err
    assert "did you mean --temperature?" in jackfield("generate", "x", "--temprature", "3").err


def test_a_slip_in_a_command_gets_the_nearest_one(jackfield):
    done = jackfield("generat", "x")

    assert done.status == 2
    assert "there is no command 'generat'; did you mean 'generate'?" in done.err


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m jackfield.cli.main plugins --json | head -c 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("{", "")


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys; from jackfield.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print(*{'torch', 'jax', 'transformers', 'numpy', 'rich', 'huggingface_hub'} & set(sys.modules))"
    )
    times = []
    for _ in range(TRIES):
        before = children_s()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        times.append(children_s() - before)

    assert done.stdout.splitlines()[-1] == ""
    assert min(times) < MAX_HELP_S


def children_s():
    """Processor time of all child processes. It does not depend on other processes of the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


CHATTY = """
    import logging
    from jackfield.interfaces.command import Command

    class Chatty(Command):
        def add_arguments(self, parser):
            parser.add_argument("-v", "--volume", type=int, default=0)
        def run(self, arguments):
            logging.getLogger("acme").info("it went well")
            return arguments.volume
"""


@pytest.fixture
def chatty(distributions):
    distributions.add(
        "acme", {COMMANDS: {"chatty": "acme_chatty:Chatty"}}, modules={"acme_chatty": CHATTY}
    )


@pytest.mark.parametrize("words", [("-v", "chatty"), ("chatty", "--verbose")])
def test_the_log_goes_to_standard_error_if_it_is_asked_for(jackfield, chatty, words):
    assert jackfield(*words).err == "INFO acme: it went well\n"


def test_the_log_is_silent_otherwise_also_after_a_verbose_command(jackfield, chatty):
    jackfield("-v", "chatty")

    assert jackfield("chatty").err == ""


def test_an_option_of_the_command_wins_over_one_of_the_program(jackfield, chatty):
    assert jackfield("chatty", "-v", "3").status == 3


@pytest.mark.parametrize("command", ["bench", "serve"])
def test_a_command_of_ours_that_is_not_installed_says_what_to_install(
    jackfield, monkeypatch, command
):
    everything = PluginRegistry.refs
    monkeypatch.setattr(
        PluginRegistry,
        "refs",
        lambda registry, kind: tuple(r for r in everything(registry, kind) if r.name != command),
    )

    done = jackfield(command, "smollm2")

    assert done.status == 2
    assert f"the command '{command}' is not installed. Try: pip install 'jackfield[" in done.err
