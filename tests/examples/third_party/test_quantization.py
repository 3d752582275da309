"""A quantization scheme and its tool as a stranger gets them: a wheel beside ours, in an environment without sources."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.cpu_model
ROOT = Path(__file__).parents[3]
PACKAGE = "examples/third_party/quantization"
PROMPT = list(range(20, 50))
JACKFIELD = "python -m jackfield.cli.main"
CONVERT = f"{JACKFIELD} acme-int8"
ANSWER = f"""
import json, sys
from jackfield import LLM, SamplingParams

with LLM(sys.argv[1], dtype="float32") as llm:
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True, logprobs=3)
    (output,) = llm.generate([{PROMPT}], params)
    one = output.outputs[0]
    chosen = {{d.subject: d.chosen for d in llm.decisions if d.kind == "jackfield_torch.quantization"}}
print(json.dumps([list(one.token_ids), [p.logprob for p in one.logprobs], chosen]))
"""


@pytest.fixture(scope="module")
def environment(make_clean_environment):
    environment = make_clean_environment()
    environment.install(ROOT / PACKAGE)
    return environment


@pytest.fixture(scope="module")
def folder(environment, tmp_path_factory):
    """`model`, in three files, and `int8`: what the tool made of it, the first layer kept as it is."""
    torch.manual_seed(2)
    config = transformers.LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2, attention_bias=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder / "model", max_shard_size="120KB")
    (folder / "model" / "tokenizer_config.json").write_text("{}")
    assert len(list((folder / "model").glob("*.safetensors"))) > 1
    environment.run(f"{CONVERT} model int8 --keep layers.0", folder)
    return folder


def tensors_of(folder):
    return {
        name: tensor
        for path in folder.glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def answer(environment, folder, model):
    return json.loads(environment.run(f"python -c '{ANSWER}' {model}", folder).splitlines()[-1])


def test_a_model_answers_as_the_plain_model_of_the_weights_that_were_stored(environment, folder):
    stored = tensors_of(folder / "int8")
    scales = {
        name.removesuffix("_scale"): stored.pop(name) for name in [*stored] if "_scale" in name
    }
    worth = {
        name: tensor.float() * scales[name] if name in scales else tensor
        for name, tensor in stored.items()
    }
    (folder / "worth").mkdir()
    shutil.copy(folder / "model" / "config.json", folder / "worth")
    save_file(worth, folder / "worth" / "model.safetensors")

    tokens, logprobs, chosen = answer(environment, folder, "int8")
    expected_tokens, expected_logprobs, all_plain = answer(environment, folder, "worth")

    assert tokens == expected_tokens
    assert logprobs == pytest.approx(expected_logprobs, abs=1e-4)
    assert chosen == {
        "linears of layer 1 (acme_int8)": "acme_int8",
        "linears of layer 0; head (plain weights)": "unquantized",
    }
    assert set(all_plain.values()) == {"unquantized"}


def test_only_matrices_of_layers_that_are_not_kept_are_rounded_to_the_nearest_step(folder):
    before, after = tensors_of(folder / "model"), tensors_of(folder / "int8")

    rounded = {name for name in before if after[name].dtype == torch.int8}

    assert rounded == {n for n in before if ".layers.1." in n and n.endswith("_proj.weight")}
    for name in before:
        if name in rounded:
            scale_O1 = after[f"{name}_scale"]
            error_OI = (after[name] * scale_O1 - before[name]).abs()
            assert (error_OI <= scale_O1 * 0.501).all()
            assert (after[name].abs().amax(1) == 127).all()
        else:
            assert torch.equal(after[name], before[name])


def test_what_is_no_weight_is_copied_and_the_index_is_that_of_the_new_files(folder):
    index = json.loads((folder / "int8" / "model.safetensors.index.json").read_text())
    stored = tensors_of(folder / "int8")

    assert (folder / "int8" / "tokenizer_config.json").read_text() == "{}"
    assert set(index["weight_map"]) == set(stored)
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in stored.values())


def test_explain_says_for_each_linear_how_it_is_stored_and_why_nothing_else_reads_it(
    environment, folder
):
    said = environment.run(f"{JACKFIELD} explain int8", folder)

    assert "quantization for linears of layer 1 (acme_int8): acme_int8" in said
    assert "quantization for linears of layer 0; head (plain weights): unquantized" in said
    assert "refused      unquantized" in said


def test_float16_is_refused_with_the_way_out(environment, folder):
    said = environment.run(f"{JACKFIELD} explain int8 --dtype float16 || true", folder)

    assert "adds up before it scales" in said
    assert "set model.dtype to bfloat16 or float32" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("model int8", "int8 exists already"),
        ("nowhere other", "nowhere is no folder with config.json and *.safetensors"),
        ("int8 other", "int8 is quantized already"),
        ("model other --keep layers", "no matrix to quantise"),
    ],
)
def test_the_tool_refuses_in_words_and_leaves_nothing_behind(environment, folder, words, expected):
    before = sorted(folder.iterdir())

    said = environment.run(f"{CONVERT} {words} && exit 1 || true", folder)

    assert expected in said
    assert "Traceback" not in said
    assert sorted(folder.iterdir()) == before


def test_a_matrix_that_is_stored_transposed_is_refused_by_its_header(environment, folder):
    broken = folder / "broken"
    shutil.copytree(folder / "int8", broken)
    name = "model.layers.1.mlp.down_proj.weight_scale"
    (path,) = (path for path in broken.glob("*.safetensors") if name in load_file(path))
    tensors = load_file(path)
    tensors[name] = tensors[name].T.contiguous()
    save_file(tensors, path)

    said = environment.run(f"python -c '{ANSWER}' broken 2>&1 || true", folder)

    assert "weight_scale of layers.1.feed_forward.down has shape (1, 64)" in said


@pytest.mark.thorough
def test_its_own_tests_pass_there(environment, copy_of):
    said = environment.run("pytest -q -p no:cacheprovider", copy_of(PACKAGE, "tests"))

    lines = [line for line in said.splitlines() if "acme-int8 0.1.0]" in line]
    assert [line.split()[0] for line in lines] == [
        "jackfield_torch.quantization:acme_int8",
        "jackfield.commands:acme-int8",
    ]
    assert all("0 expected failures, 0 failed" in line for line in lines)
