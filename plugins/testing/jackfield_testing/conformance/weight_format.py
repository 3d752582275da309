"""The kit of weight formats: reading gives what a file holds, and a broken file is an error that says so."""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

import pytest

from jackfield.discovery.kinds import WEIGHT_FORMATS
from jackfield.dtypes import DType
from jackfield.errors import CheckpointError, JackfieldError, ModelError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.damage import DAMAGES, damaged, held_files
from jackfield_testing.conformance.samples import (
    SampleCheckpoint,
    files_of_no_kind,
    linked_copy,
    safetensors_forms,
    write_config,
    write_safetensors,
)

_HOLE_BYTES = 64 << 20  # bytes by which a file grows
_FEW_BYTES = 1 << 20  # most bytes that `check` may read


class WeightFormatKit(CardKit):
    """A third party's test file names the entry point, and overrides the fixture `sample` to write its own files.

    Without an own sample, it is a folder of safetensors, which most formats refuse. `forms` are other forms that a
    checkpoint of the format may have.
    """

    kind = WEIGHT_FORMATS

    @pytest.fixture
    def sample(self, tmp_path: Path) -> SampleCheckpoint:
        """A checkpoint of this format that was just written. Override it."""
        sample = write_safetensors(tmp_path / "sample")
        self.require_sample(sample.files, tmp_path)
        return sample

    @pytest.fixture
    def forms(self, sample: SampleCheckpoint, tmp_path: Path) -> Mapping[str, SampleCheckpoint]:
        """Checkpoints of the same format in other forms: one file and several, every element type, odd shapes.

        Override it with the sample; {} if there is only one form.
        """
        if "sample" in self.overridden():
            self.not_shown("give other forms of a checkpoint with the fixture `forms`, or {}")
        return safetensors_forms(tmp_path / "forms")

    @pytest.fixture
    def needs(self, sample: SampleCheckpoint, tmp_path: Path) -> tuple[ModelFiles, ...]:
        """The sample, and files of no format."""
        return (sample.files, *files_of_no_kind(tmp_path))

    @pytest.fixture
    def checkpoint(self, card: WeightFormat, sample: SampleCheckpoint) -> Iterator[Checkpoint]:
        """The opened sample."""
        with card.open(sample.files) as checkpoint:
            yield checkpoint

    @pytest.fixture
    def stored(self, checkpoint: Checkpoint) -> Checkpoint:
        """The opened sample, if it has tensors."""
        if checkpoint.is_synthetic:
            pytest.skip("is synthetic: the loader makes up the tensors")
        return checkpoint

    def test_its_own_files_are_taken(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        """`check` takes them; a selection asks nothing else."""
        assert card.check(sample.files, self.facts()) == ()

    def test_other_files_are_refused(self, card: WeightFormat, tmp_path: Path) -> None:
        """They are an empty folder, a text, and a path that does not exist. `open` refuses them too, since it may be
        called.
        """
        for files in files_of_no_kind(tmp_path):
            assert card.check(files, self.facts()), f"{files.path.name} is taken"
            with pytest.raises(CheckpointError if files.path.exists() else ModelError):
                card.open(files)

    def test_a_config_without_weights_is_no_checkpoint(
        self, card: WeightFormat, tmp_path: Path
    ) -> None:
        """`check` refuses the folder and `open` raises a CheckpointError: a model without tensors is not a small model."""
        if card.only_named:
            pytest.skip("is taken only where it is named, whatever the files")
        files = write_config(tmp_path / "config")
        assert card.check(files, self.facts()), "a folder with a config.json alone is taken"
        with pytest.raises(CheckpointError):
            card.open(files)

    def test_check_reads_next_to_nothing(
        self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path
    ) -> None:
        """`check` is asked about every model, and models are large."""
        copy = _copy(sample.path, tmp_path / "large")
        files = [path for path in copy.rglob("*") if path.is_file()] or [copy]
        largest = max(files, key=lambda path: path.stat().st_size)
        os.truncate(largest, largest.stat().st_size + _HOLE_BYTES)
        before = self._num_bytes_read()
        card.check(ModelFiles(reference=str(copy), path=copy), self.facts())
        assert self._num_bytes_read() - before < _FEW_BYTES, f"check reads {largest.name}"

    def test_the_config_is_canonical(
        self, checkpoint: Checkpoint, sample: SampleCheckpoint
    ) -> None:
        """It is like config.json of the architecture: it names that, can be written as JSON, and agrees with the files."""
        config = dict(checkpoint.config)
        architectures = config.get("architectures")
        assert isinstance(architectures, list), f"architectures is {architectures!r}, not a list"
        assert architectures, "architectures is empty"
        assert all(isinstance(name, str) for name in architectures)
        assert json.loads(json.dumps(config)) == config
        found = {key: config.get(key) for key in sample.config}
        assert found == dict(sample.config)

    def test_a_config_is_not_that_of_another_opening(
        self, card: WeightFormat, sample: SampleCheckpoint
    ) -> None:
        """A caller may change the config of its own opening."""
        with card.open(sample.files) as changed:
            before = json.loads(json.dumps(dict(changed.config)))
            if isinstance(changed.config, MutableMapping):
                changed.config["changed by the kit"] = True
            with card.open(sample.files) as other:
                assert dict(other.config) == before

    def test_tensors_are_those_that_were_stored(
        self, stored: Checkpoint, sample: SampleCheckpoint
    ) -> None:
        """Names, element types and shapes are equal, and each tensor names its file."""
        assert sorted(stored.tensors) == sorted(sample.tensors)
        for name, info in stored.tensors.items():
            expected = sample.tensors[name]
            assert info.name == name
            assert isinstance(info.dtype, DType)
            assert (info.dtype, info.shape) == (expected.dtype, expected.shape), name
            names = [expected.file] if expected.file else _file_names(sample.path)
            assert any(file in info.file for file in names), (
                f"{name} is said to be in {info.file!r}"
            )

    def test_a_synthetic_checkpoint_has_no_tensors(self, checkpoint: Checkpoint) -> None:
        """Any other checkpoint has tensors."""
        assert bool(checkpoint.tensors) != checkpoint.is_synthetic

    def test_reading_yields_bytes_of_the_size_that_was_said(self, stored: Checkpoint) -> None:
        """The result is a contiguous memoryview of bytes."""
        for name, info in stored.tensors.items():
            data = stored.read(name)
            assert isinstance(data, memoryview), f"{name} is a {type(data).__name__}"
            assert (data.format, data.ndim, data.c_contiguous) == ("B", 1, True), name
            assert data.nbytes == math.prod(info.shape) * info.dtype.itemsize, name

    def test_reading_yields_what_was_stored(
        self, stored: Checkpoint, sample: SampleCheckpoint
    ) -> None:
        """The bytes are equal, with the format's own changes undone."""
        wrong = [n for n, tensor in sample.tensors.items() if stored.read(n) != tensor.data]
        assert wrong == []

    def test_other_forms_are_read_alike(
        self, card: WeightFormat, forms: Mapping[str, SampleCheckpoint]
    ) -> None:
        """All entries of `forms` are read: names, types, shapes, bytes and config, including numbers and empty tensors."""
        if not forms:
            pytest.skip("its checkpoints have one form only")
        refusals = {name: self.refusal(form.files) for name, form in forms.items()}
        for name, form in forms.items():
            if not refusals[name]:
                _compare_form(card, form, name)
        refused = [f"{name}: {refusal}" for name, refusal in refusals.items() if refusal]
        if refused:
            pytest.skip("; ".join(refused))

    def test_links_are_followed(
        self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path
    ) -> None:
        """In the cache of a hub, every file is a link to a file of another name."""
        try:
            path = linked_copy(sample.path, tmp_path / "hub")
        except OSError as error:
            self.not_shown(f"this system makes no links: {error}")
        assert card.check(ModelFiles(reference=str(path), path=path), self.facts()) == ()
        _compare(card, path, sample)

    def test_reads_do_not_disturb_each_other(
        self, stored: Checkpoint, sample: SampleCheckpoint
    ) -> None:
        """A buffer stays unchanged while others are read, in any order."""
        names = sorted(sample.tensors)
        buffers = {name: stored.read(name) for name in names}
        again = {name: bytes(stored.read(name)) for name in reversed(names)}
        assert {name: bytes(data) for name, data in buffers.items()} == again

    def test_a_slice_of_rows_is_that_of_the_whole(
        self, stored: Checkpoint, sample: SampleCheckpoint
    ) -> None:
        """A rank reads only its own rows, from a buffer of its own."""
        for name, tensor in sample.tensors.items():
            if 0 in (len(tensor.shape), len(tensor.data)):
                continue  # a number, or an empty tensor
            middle = len(tensor.data) // tensor.shape[0] * (tensor.shape[0] // 2)
            halves = stored.read(name)[:middle], stored.read(name)[middle:]
            assert b"".join(halves) == tensor.data, name

    def test_writing_into_a_buffer_does_not_change_the_checkpoint(
        self, stored: Checkpoint, sample: SampleCheckpoint
    ) -> None:
        """A buffer is read-only, or belongs to its reader."""
        for name, tensor in sample.tensors.items():
            data = stored.read(name)
            if not data.readonly:
                data[:] = bytes(data.nbytes)
                assert stored.read(name) == tensor.data, name

    def test_a_tensor_that_is_not_there_is_an_error_that_names_it(self, stored: Checkpoint) -> None:
        """The error is a LookupError or a CheckpointError."""
        with pytest.raises((LookupError, CheckpointError), match=r"no\.such\.tensor"):
            stored.read("no.such.tensor")

    def test_two_may_be_open_at_once(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        """Closing one leaves the other readable."""
        with card.open(sample.files) as kept:
            with card.open(sample.files) as closed:
                assert sorted(closed.tensors) == sorted(kept.tensors)
            for name in kept.tensors:
                assert kept.read(name) == sample.tensors[name].data

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_broken_file_is_an_error_and_never_other_weights(
        self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path, damage: str
    ) -> None:
        """Opening or reading raises a JackfieldError. If the broken part is not needed, everything reads as before."""
        for copy, broken in damaged(sample.path, DAMAGES[damage], tmp_path / "broken"):
            try:
                _compare(card, copy, sample)
            except JackfieldError:
                continue
            except AssertionError:
                raise
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                pytest.fail(f"{broken.name} ({damage}) raises {what}, not a JackfieldError")

    def test_closing_releases_the_files(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        """Descriptors and maps are released, also later if a buffer is held. A second call does nothing."""
        checkpoint = card.open(sample.files)
        buffers = [checkpoint.read(name) for name in checkpoint.tensors]
        checkpoint.close()
        checkpoint.close()
        del buffers, checkpoint
        gc.collect()
        assert held_files(sample.path) == set()

    def test_a_failed_opening_leaves_no_file_open(
        self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path
    ) -> None:
        """No file is open, whichever file the opening fails at."""
        for copy, broken in damaged(sample.path, DAMAGES["cut in half"], tmp_path / "broken"):
            with suppress(JackfieldError):
                card.open(ModelFiles(reference=str(copy), path=copy)).close()
            gc.collect()
            assert held_files(copy) == set(), f"after {broken.name} failed"

    def _num_bytes_read(self) -> int:
        counters = Path("/proc/self/io")
        if not counters.exists():
            self.not_shown("this system does not say how much a process reads")
        return int(counters.read_text().split()[1])  # rchar


def _copy(path: Path, folder: Path) -> Path:
    folder.mkdir()
    copy = folder / path.name
    return Path(shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy))


def _file_names(path: Path) -> list[str]:
    return [file.name for file in path.rglob("*") if file.is_file()] or [path.name]


def _compare_form(card: WeightFormat, form: SampleCheckpoint, name: str) -> None:
    with card.open(form.files) as checkpoint:
        if checkpoint.is_synthetic:
            pytest.skip("is synthetic: the loader makes up the tensors")
        found = {
            tensor: (info.dtype, info.shape, bytes(checkpoint.read(tensor)))
            for tensor, info in checkpoint.tensors.items()
        }
        config = {key: checkpoint.config.get(key) for key in form.config}
    expected = {key: (t.dtype, t.shape, t.data) for key, t in form.tensors.items()}
    assert found == expected, f"{name}: {form.path}"
    assert config == dict(form.config), f"{name}: {form.path}"


def _compare(card: WeightFormat, path: Path, sample: SampleCheckpoint) -> None:
    with card.open(ModelFiles(reference=str(path), path=path)) as checkpoint:
        found = {name: bytes(checkpoint.read(name)) for name in checkpoint.tensors}
        is_synthetic = checkpoint.is_synthetic
    expected = {name: tensor.data for name, tensor in sample.tensors.items()}
    assert is_synthetic or found == expected, f"{path} reads other tensors and says nothing"
