"""The kit of model sources: one form of reference, whole files or an error, and the same result without a network."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import NoReturn

import pytest

from jackfield.discovery.kinds import MODEL_SOURCES
from jackfield.errors import ModelError, ModelNotFound
from jackfield.interfaces.model_source import ModelFiles, ModelReference, ModelSource
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.fetching import Fetch, contents, digests

_ODD = {  # what users may write by mistake or to try it; `check` must answer all of it
    "nothing": "",
    "space": " ",
    "zero": "a\0b",
    "long": "x" * 5000,
    "long path": "./" + "x/" * 5000,
    "home of nobody": "~no-such-user-here/model",
    "surrogate": "half \ud83c",
    "address": "https://example.org/model?a=b#c",
    "drive": "C:\\models\\tiny",
    "spaces": "org/na me",
}
_NO_FORM = "no-such-form-of-reference::nothing"
_NO_REVISION = "no-such-revision"
_NUM_PROCESSES = 3
_MOMENTS_S = (0.0, 0.1, 0.25)  # seconds after a fetch began to change the cache
_HOMES = ("HOME", "USERPROFILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleModel:
    """References of a source's own form, and the files that they lead to."""

    text: str  # a model that exists
    # The files that must come: name, or path with "/" within the folder, to content.
    files: Mapping[str, bytes]
    missing: str  # a model that does not exist
    broken: str = ""  # a model that exists but cannot be fetched whole; "": this form has none
    cache: Path | None = None  # folder of downloads, if not `reference.cache_folder`
    # A model with the same files, which are fetched one by one and take half a second or more.
    slow: str = ""
    # The files that each revision of `text` must bring.
    revisions: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


class ModelSourceKit(CardKit):
    """A third party's test file names the entry point and overrides the fixture `sample`.

    The place that a source fetches from should be a stand-in on this machine. Without a sample of its own, the source
    is tried with a folder, which most sources refuse.
    """

    kind = MODEL_SOURCES

    @pytest.fixture
    def sample(self, tmp_path: Path) -> SampleModel:
        """References of this form. Override it."""
        folder = tmp_path / "sample"
        folder.mkdir()
        files = {"config.json": b'{"architectures": ["Sample"]}', "model.safetensors": b"weights"}
        for name, data in files.items():
            (folder / name).write_bytes(data)
        self.require_sample(ModelReference(text=str(folder)), tmp_path)
        return SampleModel(text=str(folder), files=files, missing=str(tmp_path / "nowhere"))

    @pytest.fixture
    def cache(self, sample: SampleModel, tmp_path: Path) -> Path:
        """The folder of downloads."""
        folder = sample.cache or tmp_path / "cache"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @pytest.fixture
    def reference(self, sample: SampleModel, cache: Path) -> ModelReference:
        """The model that exists."""
        return ModelReference(text=sample.text, cache_folder=cache)

    @pytest.fixture
    def needs(self, sample: SampleModel, cache: Path) -> tuple[ModelReference, ...]:
        """The sample, a missing model, and a reference of another form."""
        texts = (sample.text, sample.missing, _NO_FORM)
        return tuple(ModelReference(text=text, cache_folder=cache) for text in texts)

    def test_its_own_references_are_taken(self, card: ModelSource, sample: SampleModel) -> None:
        """`check` takes them whether the model exists or not, so that `resolve` can report what is missing."""
        for text in filter(None, (sample.text, sample.missing, sample.broken)):
            assert card.check(ModelReference(text=text), self.facts()) == (), text

    def test_another_form_is_left_to_other_sources(self, card: ModelSource) -> None:
        """All sources are asked, one after the other."""
        assert card.check(ModelReference(text=_NO_FORM), self.facts()), f"{_NO_FORM!r} is taken"

    @pytest.mark.parametrize("text", _ODD.values(), ids=_ODD)
    def test_check_answers_whatever_a_user_writes(self, card: ModelSource, text: str) -> None:
        """`check` is asked about every text that users write, and never raises."""
        assert isinstance(card.check(ModelReference(text=text), self.facts()), tuple)

    def test_check_fetches_nothing(
        self, card: ModelSource, reference: ModelReference, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`jackfield explain` asks about models that must not be downloaded."""
        before = _listing(reference.cache_folder)
        with no_network(monkeypatch), no_processes(monkeypatch):
            assert card.check(reference, self.facts()) == ()
        assert _listing(reference.cache_folder) == before

    def test_a_reference_leads_to_its_files(
        self, card: ModelSource, reference: ModelReference, sample: SampleModel
    ) -> None:
        """All files are there, whole, and under their names."""
        files = card.resolve(reference)
        assert isinstance(files, ModelFiles)
        assert files.reference == reference.text
        found = contents(files.path)
        assert {name: found.get(name) for name in sample.files} == dict(sample.files)

    def test_a_second_time_fetches_nothing_again(
        self, card: ModelSource, reference: ModelReference
    ) -> None:
        """The place is the same and no file was written again, also with another card."""
        path = card.resolve(reference).path
        before = _times(path)
        assert card.resolve(reference).path == path
        assert type(card)().resolve(reference).path == path
        assert _times(path) == before

    def test_what_was_fetched_is_there_without_a_network(
        self,
        card: ModelSource,
        reference: ModelReference,
        sample: SampleModel,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Machines that run models often have no network. No process is started either, since it might use one."""
        path = card.resolve(reference).path
        with no_network(monkeypatch), no_processes(monkeypatch):
            assert type(card)().resolve(reference).path == path
        assert contents(path).items() >= sample.files.items()

    def test_what_was_fetched_is_read_from_a_cache_that_cannot_be_written(
        self, card: ModelSource, reference: ModelReference
    ) -> None:
        """Many machines share a cache that another user filled: a second fetch makes and changes nothing in it."""
        card.resolve(reference)
        before = _stamps(reference.cache_folder)
        type(card)().resolve(reference)
        assert _stamps(reference.cache_folder) == before

    def test_nothing_is_left_elsewhere(
        self,
        card: ModelSource,
        sample: SampleModel,
        cache: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Nothing is left in the folder for temporary files, and, if the model is there, nothing in the user's home."""
        temporary, home = tmp_path / "temporary", tmp_path / "home"
        for folder in (temporary, home):
            folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        monkeypatch.setenv("TMPDIR", str(temporary))
        card.resolve(ModelReference(text=sample.text, cache_folder=cache))
        if sample.broken:
            with pytest.raises(ModelError):
                card.resolve(_broken(sample, cache))
        assert _filled(temporary) == [], "files are left in the folder for temporary ones"
        for name in _HOMES:
            monkeypatch.setenv(name, str(home))
        card.resolve(ModelReference(text=sample.text, cache_folder=cache))
        assert _filled(home) == [], "files are left in the home of the user"

    def test_the_process_is_left_as_it_was(self, reference: ModelReference) -> None:
        """Its environment and working folder belong to the engine, and to all processes that it starts."""
        with Fetch(self.ref(), reference) as fetch:
            fetch.start()
            assert fetch.found().changed == []

    def test_a_revision_is_a_model_of_its_own(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """Each revision brings its own files, whichever was fetched first; so does the reference without a revision."""
        if not sample.revisions:
            pytest.skip("the sample has no revisions")
        wanted: dict[str | None, Mapping[str, bytes]] = {None: sample.files}
        wanted.update(sample.revisions)
        for _ in range(2):
            for revision, files in wanted.items():
                found = card.resolve(
                    ModelReference(text=sample.text, revision=revision, cache_folder=cache)
                )
                assert contents(found.path).items() >= files.items(), f"revision {revision!r}"

    def test_a_revision_that_is_not_there_is_an_error(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """A ModelError or a reason of `check` names the revision, also if the form has no revisions.

        Otherwise a user who asks for a revision would run another model without knowing it.
        """
        card.resolve(ModelReference(text=sample.text, cache_folder=cache))
        asked = ModelReference(text=sample.text, revision=_NO_REVISION, cache_folder=cache)
        if not card.check(asked, self.facts()):
            with pytest.raises(ModelError, match="revision"):
                card.resolve(asked)

    def test_two_may_ask_at_once(
        self, card: ModelSource, reference: ModelReference, sample: SampleModel
    ) -> None:
        """Neither sees half of the files that the other fetches."""
        barrier = Barrier(2)

        def resolve(_: int) -> tuple[Path, dict[str, bytes]]:
            barrier.wait()
            path = card.resolve(reference).path
            return path, contents(path)

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(resolve, range(2)))
        assert found[0][0] == found[1][0]
        for _, files in found:
            assert files.items() >= sample.files.items()

    def test_processes_may_ask_at_once(self, sample: SampleModel, cache: Path) -> None:
        """Several engines may start at once. A lock of threads does not help them, nor a folder that fills while it
        is read.
        """
        wanted = ModelReference(text=sample.slow or sample.text, cache_folder=cache)
        with ExitStack() as stack:
            fetches = [
                stack.enter_context(Fetch(self.ref(), wanted)) for _ in range(_NUM_PROCESSES)
            ]
            *together, late = fetches
            for fetch in together:
                fetch.start()
            together[0].wait_until_begun()
            late.start()
            for fetch in fetches:
                assert fetch.found().files.items() >= digests(sample.files).items()

    def test_a_fetch_that_was_killed_is_never_taken_for_the_model(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """If memory or power fails, nothing is cleaned up. The next engine fetches the missing files."""
        slow = self._slow(card, sample, cache)
        was_killed = False
        for moment_s in _MOMENTS_S:
            with Fetch(self.ref(), slow) as fetch:
                was_killed |= fetch.stop(signal.SIGKILL, moment_s)
        if not was_killed:
            self.not_shown(f"{slow.text} came before it could be stopped: let it take longer")
        with Fetch(self.ref(), slow) as fetch:
            fetch.start()
            assert fetch.found().files.items() >= digests(sample.files).items()

    def test_a_fetch_that_is_interrupted_leaves_nothing_behind(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """Ctrl-C raises KeyboardInterrupt, which is no Exception."""
        slow = self._slow(card, sample, cache)
        with Fetch(self.ref(), slow) as fetch:
            if not fetch.stop(signal.SIGINT, _MOMENTS_S[-1]):
                self.not_shown(f"{slow.text} came before it could be stopped: let it take longer")
        assert _filled(cache) == []

    def test_a_model_that_is_not_there_is_an_error_that_names_it(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """ModelNotFound is raised at each attempt."""
        name = re.split(r"[/\\:]", sample.missing)[-1]
        for _ in range(2):
            with pytest.raises(ModelNotFound, match=re.escape(name)):
                card.resolve(ModelReference(text=sample.missing, cache_folder=cache))

    def test_a_model_that_is_not_there_leaves_nothing_behind(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """Only locks, which are empty, may stay."""
        with pytest.raises(ModelNotFound):
            card.resolve(ModelReference(text=sample.missing, cache_folder=cache))
        assert _filled(cache) == []

    def test_without_a_network_a_missing_model_is_an_error(
        self,
        card: ModelSource,
        sample: SampleModel,
        cache: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The error is ModelNotFound, whatever the network raises."""
        reference = ModelReference(text=sample.missing, cache_folder=cache)
        with no_network(monkeypatch), pytest.raises(ModelNotFound):
            card.resolve(reference)

    def test_a_broken_fetch_is_an_error_each_time(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """The error is a ModelError. The fetched part is never taken for the model."""
        for _ in range(2):
            with pytest.raises(ModelError):
                card.resolve(_broken(sample, cache))

    def test_a_broken_fetch_leaves_nothing_behind(
        self, card: ModelSource, sample: SampleModel, cache: Path
    ) -> None:
        """Models are large, and nobody would know of the files."""
        with pytest.raises(ModelError):
            card.resolve(_broken(sample, cache))
        assert _filled(cache) == []

    def _slow(self, card: ModelSource, sample: SampleModel, cache: Path) -> ModelReference:
        if not hasattr(os, "killpg"):
            self.not_shown("this system cannot stop a process with those that it started")
        if not sample.slow:
            reference = ModelReference(text=sample.text, cache_folder=cache)
            if not card.resolve(reference).path.is_relative_to(cache):
                pytest.skip("fetches nothing: the files stay where they are")
            self.not_shown("the sample has no model whose fetch takes long enough to be stopped")
        return ModelReference(text=sample.slow, cache_folder=cache)


@contextmanager
def no_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process can be started, since the kit could not see what it does."""

    def refuse(*arguments: object, **values: object) -> NoReturn:
        raise OSError("the conformance kit lets no process start")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        patch.setattr(os, "system", refuse)
        yield


@contextmanager
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process reaches no other machine, and not itself either."""

    def refuse(*arguments: object, **values: object) -> NoReturn:
        raise OSError("the conformance kit took the network away")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket.socket, "connect_ex", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


def _broken(sample: SampleModel, cache: Path) -> ModelReference:
    if not sample.broken:
        pytest.skip("the sample has no model that cannot be had whole")
    return ModelReference(text=sample.broken, cache_folder=cache)


def _times(path: Path) -> dict[str, int]:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {str(file): file.stat().st_mtime_ns for file in files}


def _stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def _listing(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _filled(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(str(path.relative_to(folder)) for path in files)
