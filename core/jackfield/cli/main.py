"""The entry of the `jackfield` program: finds the commands, runs one, and turns errors into messages."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext

from jackfield import __version__
from jackfield.activation import PluginRef
from jackfield.cli.log import logged_to_stderr
from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.cli.streams import forget_output, prepare_streams
from jackfield.config import PluginSettings
from jackfield.discovery.kinds import COMMANDS
from jackfield.discovery.loading import calling
from jackfield.discovery.printable import printable
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import CORE
from jackfield.discovery.stdout import prints_to_stderr
from jackfield.errors import ConfigError, EngineError, JackfieldError
from jackfield.interfaces.command import Command

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130  # exit statuses
# Commands of ours in other distributions, and what installs each of them.
_BROUGHT_BY = {
    "bench": "jackfield[bench]",
    "new": "jackfield[testing]",
    "quantize": "jackfield[quantize]",
    "run-batch": "jackfield[server]",
    "serve": "jackfield[server]",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. The status is the command's own, 2 for wrong input, or 1 if the engine failed."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace()
    try:
        prepare_streams()
        status = _run(words, arguments)
        sys.stdout.flush()  # a closed pipe or a full disk must show here
        return status
    except JackfieldError as error:
        if hasattr(arguments, "debug"):
            traceback.print_exc()
        print(f"jackfield: error: {error}", file=sys.stderr)
        return FAILED if isinstance(error, EngineError) else WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, e.g. `head`, has stopped reading
        forget_output()
        return FAILED
    except (OSError, MemoryError) as error:
        if hasattr(arguments, "debug"):
            traceback.print_exc()
        forget_output()
        print(f"jackfield: error: {_in_one_line(error)}", file=sys.stderr)
        return FAILED


def _run(words: Sequence[str], arguments: argparse.Namespace) -> int:
    """Find and run the command; fills in `arguments`."""
    registry = _registry(words)
    words = _joined(registry, words)
    parser = _parser(registry, words)
    if not words:
        parser.print_help()
        return 0
    _, unknown = parser.parse_known_args(words, arguments)
    if broken := getattr(arguments, "broken", None):
        raise broken
    if unknown:
        parser.error(_unknown(parser, unknown, arguments.command))
    _tell_conflict(registry, arguments.command)
    command: Command = registry.card(_ref(registry, arguments.command))
    with logged_to_stderr() if hasattr(arguments, "logs_to_stderr") else nullcontext():
        return command.run(arguments)


def _joined(registry: PluginRegistry, words: Sequence[str]) -> Sequence[str]:
    """The words, with the two words of a command such as "bench serve" joined."""
    name = " ".join(words[:2])
    is_known = len(words) > 1 and any(ref.name == name for ref in registry.refs(COMMANDS))
    return [name, *words[2:]] if is_known else words


def _unknown(parser: argparse.ArgumentParser, words: Sequence[str], command: str) -> str:
    """The message for words that no option takes, with the option that may have been meant."""
    told = f"unrecognized arguments: {' '.join(words)}"
    option = next((word.partition("=")[0] for word in words if word.startswith("--")), None)
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    known = re.findall(r"--[\w-]+", commands.choices[command].format_usage())
    near = difflib.get_close_matches(option or "", known, 1)
    if option == "--max-new-tokens":
        near = ["--max-tokens"]  # its name in Transformers
    return (
        f"{told}; did you mean {near[0]}? `jackfield {command} --help` lists all" if near else told
    )


def _in_one_line(error: OSError | MemoryError) -> str:
    """What the system refused, and for which file."""
    if isinstance(error, MemoryError):
        return "the memory of this machine or container is not enough"
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or type(error).__name__}{where}; the system said so. With --debug it tells where"


def _registry(words: Sequence[str]) -> PluginRegistry:
    """The plugins that the settings allow. If the settings are wrong, the command reports that, not this search.

    In that case only first-party commands are allowed, because the list of denied plugins is unknown. Raises
    JackfieldError if the wanted command is not among them, or if none is left.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_settings_arguments(parser)
    wrong: JackfieldError | None = None
    try:
        known, _ = parser.parse_known_args(words)
        registry = PluginRegistry.scan(load_from_arguments(known).config.plugins)
    except (JackfieldError, argparse.ArgumentError) as error:
        wrong = error if isinstance(error, JackfieldError) else None
        registry = PluginRegistry.scan(PluginSettings(autoload=False))
    registry.check_left(COMMANDS)
    if wrong and _hidden(registry, _asked(words)):
        raise wrong
    return registry


def _asked(words: Sequence[str]) -> str | None:
    return next((word for word in words if not word.startswith("-")), None)


def _hidden(registry: PluginRegistry, name: str | None) -> list[PluginRef]:
    """The owners of a command that is installed but not allowed by the settings."""
    if any(ref.name == name for ref in registry.refs(COMMANDS)):
        return []
    return [ref for ref in registry.left_out if (ref.kind, ref.name) == (COMMANDS, name)]


def _ref(registry: PluginRegistry, name: str) -> PluginRef:
    """The plugin of a command. Other distributions cannot replace a command of the core."""
    owners = _owners(registry, name)
    return next((ref for ref in owners if ref.distribution == CORE), None) or registry.ref(
        COMMANDS, name
    )


def _owners(registry: PluginRegistry, name: str) -> list[PluginRef]:
    return [ref for ref in registry.refs(COMMANDS) if ref.name == name]


def _tell_conflict(registry: PluginRegistry, name: str) -> None:
    """Warn that another distribution has a command with the name of a core command; the core's runs."""
    owners = _owners(registry, name)
    if any(ref.distribution == CORE for ref in owners):
        for other in (ref for ref in owners if ref.distribution != CORE):
            print(
                f"jackfield: {other.distribution} {other.version} has a command {name!r} too; the built-in one runs. "
                f'Deny one: plugins.deny = ["{name}@{other.distribution}"]',
                file=sys.stderr,
            )


def _common() -> argparse.ArgumentParser:
    """The arguments that every command takes, before and after its name."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="print tracebacks of errors"
    )
    common.add_argument(
        "-v",
        "--verbose",
        dest="logs_to_stderr",
        action="store_true",
        default=argparse.SUPPRESS,
        help="log to standard error, e.g. which plugins an engine chose",
    )
    return common


def _parser(registry: PluginRegistry, words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jackfield",
        description="An LLM inference engine in which every part is a plug.",
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"jackfield {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=bool(words))
    asked = _asked(words)
    for hidden in _hidden(registry, asked):
        raise ConfigError(
            f"the command {asked!r} of {hidden.distribution} is left out by plugins.deny, plugins.allow or "
            "plugins.autoload. Let it in, or name another command"
        )
    refs = {ref.name: ref for ref in registry.refs(COMMANDS)}  # one for each name
    if asked in _BROUGHT_BY and asked not in refs:
        raise ConfigError(
            f"the command {asked!r} is not installed. Try: pip install '{_BROUGHT_BY[asked]}'"
        )
    if asked and asked not in refs and (near := difflib.get_close_matches(asked, refs, 1, 0.7)):
        raise ConfigError(
            f"there is no command {asked!r}; did you mean {near[0]!r}? All: {', '.join(sorted(refs))}"
        )
    for name, ref in refs.items():
        if name == asked:
            _add(commands, registry, ref)
        # These are only listed. Nothing of them is loaded if another command is wanted.
        else:
            commands.add_parser(name, help="" if asked in refs else _summary(registry, ref))
    return parser


def _summary(registry: PluginRegistry, ref: PluginRef) -> str:
    try:
        command: Command = registry.card(_ref(registry, ref.name))
    except JackfieldError:
        return "(broken: see jackfield plugins check)"
    return printable(command.summary).replace("%", "%%")  # argparse would replace it


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    registry: PluginRegistry,
    ref: PluginRef,
) -> None:
    """Add the wanted command. A broken command takes any arguments: running it reports the error."""
    try:
        command: Command = registry.card(_ref(registry, ref.name))
        with calling(ref, "add the arguments of"), prints_to_stderr():
            # A parser of its own is tried first, since arguments cannot be removed from a parser.
            command.add_arguments(argparse.ArgumentParser())
    except JackfieldError as error:
        broken = commands.add_parser(ref.name, add_help=False, parents=[_common()])
        broken.set_defaults(broken=error)
    else:
        parser = commands.add_parser(
            ref.name,
            description=command.summary,
            parents=[_common()],
            conflict_handler="resolve",  # the command's own option wins
        )
        command.add_arguments(parser)


if __name__ == "__main__":
    sys.exit(main())
