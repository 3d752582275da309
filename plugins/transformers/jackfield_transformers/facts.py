"""Facts of Transformers' code about a config. This process is asked only if torch is already imported.

Otherwise another process is asked, which then ends. Its answer is kept in a file until Transformers changes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jackfield.environment import cache_folder
from jackfield.errors import UnsupportedModelError

_FOLDER = "transformers"  # folder of the cache
_TIMEOUT_S = 300


def find_facts(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """See `inspection.inspect`. Raises UnsupportedModelError with the reason if Transformers' code cannot be used."""
    try:
        versions = version("transformers"), version("torch"), version("jackfield-transformers")
    except PackageNotFoundError as error:
        raise UnsupportedModelError(
            f"{error.name} is not installed. Try: pip install {error.name}"
        ) from None
    question = {"architecture": architecture, "config": dict(config)}
    if "torch" in sys.modules:
        from jackfield_transformers.inspection import inspect

        answer = inspect(question)
    else:
        answer = _kept(json.dumps([*versions, question], sort_keys=True, default=str), question)
    if "refused" in answer:
        raise UnsupportedModelError(answer["refused"])
    return answer


def _kept(key: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of another process, or a kept answer."""
    file = cache_folder() / _FOLDER / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        found = _asked(question)
        _keep(file, found)
    return found


def _asked(question: Mapping[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "jackfield_transformers.inspection"],
        input=json.dumps(question, default=str),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise UnsupportedModelError(f"Transformers cannot be asked about this config: {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _keep(file: Path, answer: Mapping[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(answer))
        part.replace(file)
    except OSError:
        pass  # the next call asks again
