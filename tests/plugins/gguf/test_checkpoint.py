"""What converters bake in is undone: tensors and config are those of the original checkpoint."""

import importlib.util
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from jackfield.errors import CheckpointError
from jackfield.interfaces.model_source import ModelFiles
from jackfield_gguf.format import GgufFormat
from jackfield_gguf.testing import LLAMA

FORMAT = GgufFormat()
TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_tiny_models():
    spec = importlib.util.spec_from_file_location(
        "tiny_models", Path(__file__).with_name("tiny_models.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = load_tiny_models()


@pytest.fixture(scope="module", params=tiny.CONFIGS)
def written(request, tmp_path_factory):
    """An architecture, its random model, and the file that it was written to."""
    path = tmp_path_factory.mktemp(request.param) / "model.gguf"
    model = tiny.make_model(request.param)
    return request.param, model, tiny.write_gguf(path, request.param, model)


def files_of(path):
    return ModelFiles(reference=str(path), path=path)


def to_torch(checkpoint, name):
    info = checkpoint.tensors[name]
    data = bytearray(checkpoint.read(name))
    return torch.frombuffer(data, dtype=TORCH[info.dtype.name]).reshape(info.shape)


def test_tensors_are_those_of_the_original(written):
    _, model, path = written
    expected = model.state_dict()
    if model.config.tie_word_embeddings:
        del expected["lm_head.weight"]

    with FORMAT.open(files_of(path)) as checkpoint:
        assert set(checkpoint.tensors) == set(expected)
        for name, tensor in expected.items():
            torch.testing.assert_close(to_torch(checkpoint, name), tensor, rtol=0, atol=5e-7)


def test_the_config_says_what_the_original_says(written):
    architecture, model, path = written
    expected = model.config.to_dict()
    expected["architectures"] = [type(model).__name__]
    aliases = {"dtype", "rope_theta", "rope_local_base_freq", "sliding_window_pattern", "n_ctx"}

    with FORMAT.open(files_of(path)) as checkpoint:
        config = dict(checkpoint.config)

    same = {key: config[key] for key in set(config) & set(expected) - aliases}
    assert same == {key: expected[key] for key in same}
    assert {"architectures", "vocab_size", "model_type", "tie_word_embeddings"} <= set(same)
    if architecture != "gpt2":
        assert {"head_dim", "num_key_value_heads", "rms_norm_eps", "intermediate_size"} <= set(same)
        assert config["rope_theta"] == 5000.0
    if architecture in ("gemma2", "gemma3"):
        assert {"layer_types", "query_pre_attn_scalar", "sliding_window"} <= set(same)


def test_transformers_reads_the_same_tensors_from_the_file(written):
    architecture, model, path = written
    if architecture == "gemma":
        pytest.skip("Transformers reads no GGUF of Gemma 1")
    reference = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)

    with FORMAT.open(files_of(path)) as checkpoint:
        for name, tensor in reference.state_dict().items():
            if name != "lm_head.weight" or not model.config.tie_word_embeddings:
                assert torch.equal(to_torch(checkpoint, name), tensor), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3"])
def test_half_precision_stays_what_it_is(tmp_path, architecture, dtype):
    model = tiny.make_model(architecture).to(dtype)
    path = tiny.write_gguf(tmp_path / "model.gguf", architecture, model, dtype)
    expected = model.state_dict()

    with FORMAT.open(files_of(path)) as checkpoint:
        for name, info in checkpoint.tensors.items():
            is_norm = architecture == "gemma3" and name.endswith("norm.weight")
            found = to_torch(checkpoint, name)

            assert TORCH[info.dtype.name] == (torch.float32 if is_norm else dtype), name
            if is_norm:  # one was added in half precision, which loses bits
                torch.testing.assert_close(found, expected[name].float(), rtol=0, atol=0.02)
            else:
                assert torch.equal(found, expected[name])


def test_quantized_queries_are_unpaired_as_float_ones_are(maker):
    rows = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
    stored = gguf.quantize(rows, gguf.GGMLQuantizationType.Q8_0)
    maker.write(tensors={"blk.0.attn_q.weight": (stored, gguf.GGMLQuantizationType.Q8_0)})

    with FORMAT.open(maker.files) as checkpoint:
        found = to_torch(checkpoint, "model.layers.0.self_attn.q_proj.weight")

    whole = gguf.dequantize(stored, gguf.GGMLQuantizationType.Q8_0)
    heads = whole.reshape(4, 8, 2, 32)  # four heads of eight pairs
    expected = np.concatenate([heads[:, :, 0], heads[:, :, 1]], axis=1).reshape(64, 32)
    assert np.array_equal(found.numpy(), expected)


def test_a_tensor_that_needs_nothing_is_a_view_of_the_map(maker):
    maker.write()

    with FORMAT.open(maker.files) as checkpoint:
        first = checkpoint.read("model.embed_tokens.weight")
        second = checkpoint.read("model.embed_tokens.weight")

        assert first.obj is second.obj
        assert first.readonly


def test_tables_that_follow_from_the_metadata_are_no_tensors(maker):
    maker.write(tensors={"blk.0.attn_rot_embd.weight": np.ones(4, np.float32)})

    with FORMAT.open(maker.files) as checkpoint:
        assert list(checkpoint.tensors) == ["model.embed_tokens.weight"]


@pytest.mark.parametrize("name", ["blk.0.ffn_gate_exps.weight", "blk.0.attn_qkv.weight", "odd"])
def test_a_tensor_that_is_not_understood_is_refused(maker, name):
    maker.write(tensors={name: np.ones(4, np.float32)})

    with pytest.raises(CheckpointError, match=f"the tensor '{name}', which no llama model"):
        FORMAT.open(maker.files)


def test_heads_that_do_not_fit_the_tensor_are_named(maker):
    maker.write(tensors={"blk.0.attn_q.weight": np.ones((36, 32), np.float32)})

    with (
        FORMAT.open(maker.files) as checkpoint,
        pytest.raises(CheckpointError, match=r"'blk.0.attn_q.weight' has the shape \[36, 32\]"),
    ):
        checkpoint.read("model.layers.0.self_attn.q_proj.weight")


def write_parts(folder, numbers, count, stem="model"):
    """Parts as llama-gguf-split writes them: the metadata in the first, a tensor in each."""
    for number in numbers:
        path = folder / f"{stem}-{number:05}-of-{count:05}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint16("split.no", number - 1)
        writer.add_uint16("split.count", count)
        if number == 1:
            for key, value in LLAMA.items():
                add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
                add(f"llama.{key}", value)
        names = ("token_embd", "blk.0.ffn_up", "blk.0.ffn_down")
        tensor = np.full((2, 32), number, np.float32)
        writer.add_tensor(f"{names[number - 1]}.weight", tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return folder


@pytest.mark.parametrize("named", ["", "model-00001-of-00003.gguf", "model-00002-of-00003.gguf"])
def test_parts_are_read_as_one_model_whichever_of_them_is_named(tmp_path, named):
    write_parts(tmp_path, (1, 2, 3), 3)

    with FORMAT.open(files_of(tmp_path / named)) as checkpoint:
        tensors = {name: to_torch(checkpoint, name)[0, 0].item() for name in checkpoint.tensors}
        assert checkpoint.config["hidden_size"] == 32

    up, down = (f"model.layers.0.mlp.{name}_proj.weight" for name in ("up", "down"))
    assert tensors == {"model.embed_tokens.weight": 1, up: 2, down: 3}


def test_a_missing_part_is_named(tmp_path):
    write_parts(tmp_path, (1, 3), 3)

    assert "lacks model-00002-of-00003.gguf" in str(FORMAT.check(files_of(tmp_path), {})[0])
    with pytest.raises(CheckpointError, match="lacks model-00002-of-00003.gguf"):
        FORMAT.open(files_of(tmp_path))


def test_a_part_that_was_renamed_tells_how_parts_are_called(maker):
    maker.write(other={"split.count": 3})

    with pytest.raises(CheckpointError, match=r"one of 3 parts.*NAME-00001-of-00003.gguf"):
        FORMAT.open(maker.files)


@pytest.mark.parametrize("name", ["MODEL.GGUF", "sha256-0123456789ab", "model"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_a_file_is_known_by_its_ending_in_capitals_too_or_by_how_it_starts(maker, name, is_folder):
    path = maker.write().rename(maker.path.with_name(name))
    files = files_of(path.parent if is_folder else path)

    assert FORMAT.check(files, {}) == ()
    with FORMAT.open(files) as checkpoint:
        assert "model.embed_tokens.weight" in checkpoint.tensors


def test_the_projector_of_images_beside_a_model_is_no_second_model(maker):
    path = maker.write()
    path.with_name("mmproj-model-f16.gguf").write_bytes(b"GGUF")

    with FORMAT.open(files_of(path.parent)) as checkpoint:
        assert checkpoint.tensors["model.embed_tokens.weight"].file == str(path)


def test_a_folder_with_one_file_is_that_file(maker):
    maker.write()
    folder = ModelFiles(reference="x", path=maker.path.parent)

    assert FORMAT.check(folder, {}) == ()
    with FORMAT.open(folder) as checkpoint:
        assert checkpoint.tensors["model.embed_tokens.weight"].file == str(maker.path)


def test_a_folder_with_several_files_is_refused_by_their_names(maker):
    maker.write()
    (maker.path.parent / "other.gguf").write_bytes(b"")
    folder = ModelFiles(reference="x", path=maker.path.parent)

    [reason] = FORMAT.check(folder, {})

    assert "model.gguf, other.gguf" in reason.text
    with pytest.raises(CheckpointError, match="several"):
        FORMAT.open(folder)


def test_a_folder_without_a_file_is_another_formats(tmp_path):
    assert [r.code for r in FORMAT.check(files_of(tmp_path), {})] == ["no_gguf"]


@pytest.mark.slow  # Transformers takes its time; the tiny models above show the same
def test_the_real_model_is_dequantized_as_transformers_does(smollm2):
    reference = AutoModelForCausalLM.from_pretrained(smollm2.parent, gguf_file=smollm2.name)

    with FORMAT.open(files_of(smollm2)) as checkpoint:
        for name, tensor in reference.state_dict().items():
            if name != "lm_head.weight":  # tied
                assert torch.equal(to_torch(checkpoint, name), tensor), name


def test_matrices_are_given_in_their_blocks_with_rows_in_the_order_of_the_original(tmp_path):
    model = tiny.make_model("llama")
    kind = gguf.GGMLQuantizationType.Q8_0
    path = tiny.write_gguf(tmp_path / "model.gguf", "llama", model, packed=kind)

    with FORMAT.open(files_of(path)) as checkpoint:
        assert checkpoint.packed
        for name, info in checkpoint.packed.items():
            plain = to_torch(checkpoint, name.removesuffix(".Q8_0"))
            rows = np.frombuffer(checkpoint.read(name), np.uint8).reshape(info.shape)
            found = gguf.quants.dequantize(rows, kind)
            np.testing.assert_array_equal(found, plain.numpy())
