"""Writes or checks the page of all settings: `python -m jackfield.config.document --check docs/configuration.md`.

Names, types and defaults come from the schema. The meaning of a setting is the comment at its field.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import sys
import tokenize
from pathlib import Path
from typing import Any

from jackfield.config import schema
from jackfield.config.settings import Setting, sections, settings_of
from jackfield.config.values import NONE
from jackfield.environment import CACHE_FOLDER, CONFIG_FILE, DEFAULT_CACHE_FOLDER, PLUGINS

_INTRODUCTION = f"""\
# Configuration

Generated from `core/jackfield/config/schema.py` with `make docs WRITE=1`; change the comments there.

A setting is `section.key`. Whoever stands further right wins:

    default < platform < file < environment < command line < code

- **Platform**: defaults that suit the device better. `jackfield explain MODEL` shows each setting that is not at its
  default and who set it, `jackfield explain MODEL --toml` prints a file that reproduces the run.
- **File**: TOML, named with `--config FILE` or `{CONFIG_FILE}`.
- **Environment**: `JACKFIELD_<SECTION>_<KEY>`.
- **Command line**: `--set section.key=value`.
- **Code**: `LLM(..., settings={{"section.key": value}})`.

In variables and on the command line, lists are comma separated or TOML: `a, b` and `["a", "b"]` are the same. The word `{NONE}` means
none everywhere, also the empty list, since TOML has no null. An unknown setting is an error that names the nearest known word and the place of the setting.
"""
_SELECT = """\
## [select]

The keys are the selections: `platform`, `executor`, `scheduler`, `model_source`, `weight_format`, `model`, `tokenizer`, and
those that the platform adds (`attention`, `quantization`, ...). A value is the name of a plugin, or `NAME@DISTRIBUTION` if
two distributions use the name. The named plugin is chosen, or the start fails with the reasons. Environment: `JACKFIELD_SELECT_<KEY>`.

If a selection has several subjects (the layers of a model), a value may be a list of rules. The first rule that matches decides:

```toml
[select]
platform = "cpu"
attention = [{match = {window = true}, use = "torch_sdpa"}, {match = {group = [0, 2]}, use = "cpu_paged"}, {use = "flashinfer"}]
```

- A rule matches if every fact that it names has the value; a list of values means any of them. A rule without `match` is for the rest.
- A fact that does not exist, a value of another type than the fact's (`window = "true"`) and an empty list are errors.
- Every plugin that a rule names must be installed and have a served contract major, even if the rule decides nothing.
- A rule that decides nothing for a model is no error, since one file may serve several models. `jackfield explain` and the log name it.
"""
_ADAPTERS = """\
## [adapters]

Adapters change the weights of a model for the requests that name them (`SamplingParams.adapter`, or `model` in a request to the server). The
keys are names of your choice, the values are folders: `sql = "adapters/sql"`. In a file, a folder counts from the folder of the file. On the
command line `--adapter NAME=FOLDER` is a short form. Environment: `JACKFIELD_ADAPTERS_<NAME>`. See [adapters.md](adapters.md).
"""
_OPTIONS = """\
## [options]

Settings that plugins declare themselves, one table a plugin: `[options.PLUGIN]`. Environment:
`JACKFIELD_OPTIONS_<PLUGIN>__<KEY>`, with two underscores between plugin and key.
"""
_PLUGINS = f"""\
An entry of `allow`, `deny` or `required` is a distribution, a plugin's name, or `NAME@DISTRIBUTION`. First-party plugins (the core and the
distributions in its extras) need not be allowed. Entries of `allow` and `required` must mean something that is installed. Entries of `deny`
need not, since one file may serve several machines: `jackfield plugins` and the log name such entries. But an entry that is one letter away
from something installed is an error, since a misspelt entry would allow the plugin that it should deny. `{PLUGINS}` is a short form: a comma
list is `plugins.allow`, and `{NONE}` allows only first-party plugins.

A local plugin is one file: `local = ["models.MyModelForCausalLM=custom_model:build"]`. Its module is searched in the current folder, then
on `sys.path`; the hash of the file is part of the activation plan. The kind and its major must be served.

If two distributions use the same name for one kind, `[select]` or `deny` decides (`NAME@DISTRIBUTION`). Hooks are all used, so for them,
and for commands, only `deny` decides. No distribution can replace a command of the core.
"""
_OTHER = f"""\
## Other variables

| variable | meaning |
|---|---|
| `{CONFIG_FILE}` | a TOML file, if no `--config` is given |
| `{PLUGINS}` | short form of `plugins.allow`, see above |
| `{CACHE_FOLDER}` | the folder of downloads; default `{DEFAULT_CACHE_FOLDER}` |
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    comments = field_comments(inspect.getsource(schema))
    for section, cls in sections().items():
        rows = [
            _row(setting, comments[cls.__name__, setting.key.partition(".")[2]])
            for setting in settings_of(cls, section).values()
        ]
        title = f"## [{section}]\n\n{inspect.getdoc(cls)}\n\n"
        table = "| setting | type | default | meaning | variable |\n|---|---|---|---|---|\n"
        parts.append(title + table + "\n".join(rows) + "\n")
        if section == "plugins":
            parts.append(_PLUGINS)
    return "\n".join([*parts, _SELECT, _ADAPTERS, _OPTIONS, _OTHER])


def field_comments(source: str) -> dict[tuple[str, str], str]:
    """The comment at each field of each class: behind the field, otherwise on the lines right above it."""
    comments = {
        token.start[0]: (
            token.string.removeprefix("#").strip(),
            not token.line[: token.start[1]].strip(),
        )
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for cls in (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)):
        for item in cls.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                lines = list(range(item.lineno, (item.end_lineno or item.lineno) + 1))
                if not any(line in comments for line in lines):
                    lines = _comment_lines_above(item.lineno, comments)
                text = " ".join(comments[line][0] for line in lines if line in comments)
                found[cls.name, item.target.id] = text
    return found


def _comment_lines_above(line: int, comments: dict[int, tuple[str, bool]]) -> list[int]:
    lines: list[int] = []
    while line - 1 in comments and comments[line - 1][1]:
        line -= 1
        lines.insert(0, line)
    return lines


def _row(setting: Setting, meaning: str) -> str:
    key = setting.key.partition(".")[2]
    default = _shown(setting.default)
    cells = (f"`{key}`", setting.type_name, f"`{default}`", meaning, f"`{setting.variable}`")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _shown(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(list(value) if isinstance(value, tuple) else value)


def main() -> int:
    """Write the page, or check whether a file is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the page")
    mode.add_argument("--check", action="store_true", help="status 1 if the file is not the page")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    file: Path = arguments.file
    if arguments.write:
        file.write_text(page(), encoding="utf-8")
    elif not file.is_file() or file.read_text(encoding="utf-8") != page():
        sys.stderr.write(f"{file} is not what the schema says. Run: make docs WRITE=1\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
