"""`jackfield quantize` from a folder to a folder."""

import json
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from jackfield import LLM, SamplingParams
from jackfield_quantize.folder import OutputFolder
from jackfield_quantize.recipe import SCHEMES

pytestmark = pytest.mark.cpu_model

TOKENS = [*range(40, 70)]
WORDS = {
    "gptq": ("--bits", "8"),
    "awq": (),
    "squeezellm": ("--sparse", "0.02"),
    "rtn": ("--bits", "8", "--asymmetric"),
    "int8": (),
    "fp8": (),
    "nf4": (),
    "mxfp4": (),
    "nvfp4": (),
}


def logprobs(model):
    """Of the prompt's own tokens, by our engine in float32."""
    with LLM(str(model), dtype="float32", settings={"model.max_length": 64}) as llm:
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        (output,) = llm.generate([TOKENS], params)
    return torch.tensor([entry.logprob for entry in output.prompt_logprobs[1:]])


@pytest.mark.parametrize("scheme", WORDS)
def test_an_engine_runs_what_was_made(model_of, quantize, tmp_path, scheme):
    model = model_of("llama")

    status = quantize(model, tmp_path / "out", "--scheme", scheme, *WORDS[scheme])

    tolerance = (
        0.3 if scheme in ("gptq", "rtn", "int8", "fp8") else 1.0
    )  # 8 bits, 4 of random weights
    assert status == 0
    difference = (logprobs(tmp_path / "out") - logprobs(model)).abs()
    assert difference.mean() < tolerance
    assert (tmp_path / "out" / "LICENSE").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("name", ["phi3", "gpt2", "gpt_neox", "gemma2", "mixtral"])
@pytest.mark.parametrize("scheme", ["gptq", "squeezellm", "int8"])
def test_other_architectures_are_made_too(model_of, quantize, tmp_path, name, scheme):
    model = model_of(name)

    quantize(
        model,
        tmp_path / "out",
        "--scheme",
        scheme,
        "--bits",
        "8" if scheme != "squeezellm" else "4",
    )

    tolerance = 1.0 if scheme == "squeezellm" else 0.3
    assert (logprobs(tmp_path / "out") - logprobs(model)).abs().mean() < tolerance


@pytest.mark.parametrize("name", ["llama", "phi3", "gpt_neox", "gpt2", "gemma2", "mixtral"])
def test_what_awq_divides_and_multiplies_cancels_out(
    model_of, quantize, tmp_path, name, monkeypatch
):
    # with 8 bits nothing but a scale that stands in one place alone could change answers
    monkeypatch.setitem(SCHEMES, "awq", replace(SCHEMES["awq"], bits=(4, 8)))
    words = ("--scheme", "awq", "--bits", "8", "--format", "compressed-tensors")

    assert quantize(model_of(name), tmp_path / "out", *words) == 0

    assert (logprobs(tmp_path / "out") - logprobs(model_of(name))).abs().mean() < 0.05


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(
    model_of, quantize, tmp_path, monkeypatch
):
    for scheme in ("gptq", "awq", "squeezellm", "rtn"):
        whole, cut = tmp_path / f"{scheme}-whole", tmp_path / f"{scheme}-cut"
        quantize(model_of("llama"), whole, "--scheme", scheme)
        with monkeypatch.context() as patch:
            _interrupt_after(patch, 2)
            assert quantize(model_of("llama"), cut, "--scheme", scheme) == 130
        assert not cut.exists()

        quantize(model_of("llama"), cut, "--scheme", scheme)

        assert contents(whole) == contents(cut)


# The process dies where the file of the second layer is written, but has not got its name.
KILLED = """
import os, signal, sys
from pathlib import Path
from jackfield.cli.main import main
rename = Path.rename
def killed(path, target):
    if "model-00002" in str(target):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)
Path.rename = killed
main(sys.argv[1:])
"""


def test_a_run_that_was_killed_ends_as_one_that_was_not(model_of, quantize, command, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    words = (model_of("llama"), cut, "--scheme", "gptq")
    quantize(model_of("llama"), whole, "--scheme", "gptq")

    done = subprocess.run(
        [sys.executable, "-c", KILLED, *command(*words)], capture_output=True, check=False
    )

    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [path.name for path in tmp_path.glob("*cut*")] == [".cut-unfinished"]
    assert quantize(*words) == 0
    assert contents(whole) == contents(cut)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _interrupt_after(patch, num_layers):
    write = OutputFolder.write_layer
    left = [num_layers]

    def interrupted(folder, index, tensors):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(folder, index, tensors)

    patch.setattr(OutputFolder, "write_layer", interrupted)


def test_an_unfinished_run_of_another_recipe_is_no_start(
    model_of, quantize, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        _interrupt_after(patch, 1)
        quantize(model_of("llama"), tmp_path / "out", "--scheme", "rtn")

    status = quantize(model_of("llama"), tmp_path / "out", "--scheme", "rtn", "--bits", "8")

    assert status != 0
    assert "unfinished run" in capsys.readouterr().err


def test_everything_else_stays_as_it_was(model_of, quantize, tmp_path):
    quantize(model_of("llama"), tmp_path / "out", "--scheme", "gptq")

    (before,) = model_of("llama").glob("*.safetensors")
    old = load_file(before)
    new = {
        k: v
        for path in (tmp_path / "out").glob("*.safetensors")
        for k, v in load_file(path).items()
    }
    plain = {name for name in old if "norm" in name or "embed" in name}
    assert plain <= set(new)
    assert all(torch.equal(old[name], new[name]) for name in plain)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(new)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scheme", "gptq", "--group-size", "40"), "does not divide the 64 inputs"),
        (("--scheme", "gptq", "--bits", "5"), "--bits 5: allowed are 2, 3, 4, 8"),
        (("--scheme", "awq", "--bits", "3"), "--bits 3: allowed are 4"),
        (("--scheme", "int8", "--asymmetric"), "int8 has no zero points"),
        (("--scheme", "int8", "--format", "gptq"), "allowed are compressed-tensors"),
        (("--scheme", "gptq", "--sparse", "0.01"), "--sparse belongs to squeezellm"),
        (("--scheme", "gptq", "--group-size", "0"), "--group-size must be -1"),
        (("--scheme", "gptq", "--sample-length", "5000"), "fewer than one row of 5000"),
        (("--scheme", "gptq", "--calibration", "nothing.txt"), "is no file"),
        (("--scheme", "int8", "--device", "cuda:77"), "cannot be used here"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    model_of, quantize, tmp_path, capsys, words, message
):
    status = quantize(model_of("llama"), tmp_path / "out", *words)

    assert status != 0
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("*out*"))


def test_a_folder_that_exists_is_left_alone(model_of, quantize, tmp_path, capsys):
    status = quantize(model_of("llama"), tmp_path, "--scheme", "int8")

    assert status != 0
    assert "exists already" in capsys.readouterr().err


def test_a_full_disk_is_told_before_anything_is_computed(
    model_of, quantize, tmp_path, capsys, monkeypatch
):
    usage = namedtuple("Usage", "total used free")(10, 10, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    status = quantize(model_of("llama"), tmp_path / "out", "--scheme", "int8")

    assert status != 0
    assert "0.0 GB left" in capsys.readouterr().err


def test_a_quantized_model_is_no_source(model_of, quantize, tmp_path, capsys):
    quantize(model_of("llama"), tmp_path / "int8", "--scheme", "int8")

    status = quantize(tmp_path / "int8", tmp_path / "out", "--scheme", "gptq")

    assert status != 0
    assert "quantized already" in capsys.readouterr().err
