"""`quantization_config` tells how each linear is stored, in the spellings of its producers."""

import dataclasses

import pytest

from jackfield.checkpoint.quantization import read_quantization
from jackfield.checkpoint.tensor_headers import TensorHeaders
from jackfield.dtypes import BFLOAT16, FLOAT8_E4M3, FLOAT16, FLOAT32, INT32
from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model_config import STANDARD_MODULES
from jackfield.interfaces.weights import TensorInfo
from jackfield.model_spec import Entry, ModuleSource
from jackfield_testing.models import tiny_spec

SPEC = dataclasses.replace(tiny_spec(12), modules=STANDARD_MODULES, tied_head=False)
IN_LAYERS = set(SPEC.linears) - {"head"}


def table(**values):
    return {"quantization_config": {"quant_method": "acme", **values}}


def read(spec=SPEC, **values):
    return read_quantization(table(**values), spec)


def plain(**values):
    """The linears in layers that are stored plainly."""
    return IN_LAYERS - set(read(**values).linears)


def test_a_checkpoint_without_the_table_is_plain():
    assert read_quantization({"hidden_size": 4}, SPEC) is None
    assert read_quantization({"quantization_config": None}, SPEC) is None


def test_the_method_is_taken_and_its_parameters_stand_at_every_linear():
    found = read(bits=4, group_size=128)

    assert found.method == "acme"
    assert found.linears.keys() == IN_LAYERS
    assert found.linears["layers.3.mixer.q"] == {"bits": 4, "group_size": 128}


def test_an_old_table_has_another_name():
    config = {"compression_config": {"quant_method": "compressed-tensors"}}

    assert read_quantization(config, SPEC).method == "compressed-tensors"


@pytest.mark.parametrize(
    "key", ["modules_to_not_convert", "ignored_layers", "llm_int8_skip_modules", "ignore"]
)
def test_modules_that_are_named_are_plain(key):
    assert plain(**{key: ["model.layers.1.mlp.down_proj"]}) == {"layers.1.feed_forward.down"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("model.layers.1", {name for name in IN_LAYERS if name.startswith("layers.1.")}),
        ("model.layers.1.", {name for name in IN_LAYERS if name.startswith("layers.1.")}),
        ("o_proj", {name for name in IN_LAYERS if name.endswith(".o")}),
        ("mlp", {name for name in IN_LAYERS if ".feed_forward." in name}),
        (r"re:.*\.(q|k)_proj$", {n for n in IN_LAYERS if n.endswith((".q", ".k"))}),
        (r"model.layers.\d.self_attn.v_proj", {f"layers.{n}.mixer.v" for n in range(10)}),
        ("*up_proj", {name for name in IN_LAYERS if name.endswith(".up")}),
        ("proj", set()),  # no whole part of a name
        ("model.layers.1.mlp.gate", set()),
    ],
)
def test_a_list_holds_whole_parts_of_names_and_patterns(word, expected):
    assert plain(modules_to_not_convert=[word]) == expected


@pytest.mark.parametrize(
    ("values", "is_quantized"),
    [
        ({}, False),
        ({"lm_head": False}, False),
        ({"lm_head": True}, True),
        ({"ignore": []}, True),
        ({"ignore": ["lm_head"]}, False),
        ({"config_groups": {"group_0": {"targets": ["Linear"]}}}, True),
    ],
)
def test_the_head_is_plain_unless_the_table_speaks_of_it(values, is_quantized):
    assert ("head" in read(**values).linears) is is_quantized


def test_a_head_that_is_the_embedding_is_plain():
    tied = dataclasses.replace(SPEC, tied_head=True)

    assert "head" not in read(tied, lm_head=True).linears


def test_a_table_may_name_the_only_modules_that_are_quantized():
    blocks = [["self_attn.q_proj"], ["mlp.up_proj", "mlp.down_proj"]]

    left = IN_LAYERS - plain(modules_in_block_to_quantize=blocks)

    assert {name.rpartition(".")[2] for name in left} == {"q", "up", "down"}


def test_patterns_override_parameters_and_leave_modules_out():
    dynamic = {
        r"-:model\.layers\.0\.": {},
        r"+:.*\.down_proj": {"bits": 8},
        r".*\.up_proj": {"bits": 3},
    }

    found = read(bits=4, dynamic=dynamic).linears

    assert not any(name.startswith("layers.0.") for name in found)
    assert found["layers.1.feed_forward.down"] == {"bits": 8}
    assert found["layers.1.feed_forward.up"] == {"bits": 3}
    assert found["layers.1.mixer.q"] == {"bits": 4}


def test_groups_give_their_targets_parameters_and_what_is_no_target_is_plain():
    groups = {
        "group_0": {"targets": [r"re:.*self_attn.*"], "weights": {"num_bits": 8}},
        "group_1": {"targets": ["model.layers.0.mlp.up_proj"], "weights": {"num_bits": 4}},
    }

    found = read(config_groups=groups, format="pack-quantized").linears

    assert found["layers.2.mixer.v"]["weights"] == {"num_bits": 8}
    assert found["layers.2.mixer.v"]["format"] == "pack-quantized"
    assert found["layers.0.feed_forward.up"]["weights"] == {"num_bits": 4}
    assert "layers.1.feed_forward.up" not in found


@pytest.mark.parametrize("value", [{"bits": 4}, "gptq", {"quant_method": 4}])
def test_a_table_without_a_method_is_refused(value):
    with pytest.raises(UnsupportedModelError, match=r"names no method: got .*quant_method"):
        read_quantization({"quantization_config": value}, SPEC)


def test_a_broken_pattern_is_refused_by_name():
    with pytest.raises(UnsupportedModelError, match=r"a pattern that is none: '\*\(' "):
        read(dynamic={"-:*(": {}})


def headers(**types):
    """Tensors of layer 1's down projection by parameter and type."""
    prefix = "model.layers.1.mlp.down_proj"
    return {
        (name := f"{prefix}.{parameter}"): TensorInfo(name, dtype, (4, 4), "file")
        for parameter, dtype in types.items()
    }


def test_what_the_headers_show_goes_before_the_config():
    down = "layers.1.feed_forward.down"
    claims, denies = {"bits": 4}, {"bits": 4, "modules_to_not_convert": ["down_proj"]}

    plain = read_quantization(table(**claims), SPEC, headers(weight=BFLOAT16))
    packed = read_quantization(table(**denies), SPEC, headers(qweight=INT32, scales=FLOAT16))
    eight = read_quantization(table(**denies), SPEC, headers(weight=FLOAT8_E4M3))

    assert down not in plain.linears
    assert packed.linears[down] == eight.linears[down] == {"bits": 4}
    assert "layers.0.feed_forward.down" not in packed.linears


def test_a_bare_base_model_shows_its_headers_too():
    tensors = {name.removeprefix("model."): info for name, info in headers(weight=BFLOAT16).items()}

    assert "layers.1.feed_forward.down" not in read_quantization(table(), SPEC, tensors).linears


def test_a_head_that_is_stored_packed_is_quantized_whatever_the_config_says():
    tensors = {"lm_head.qweight": TensorInfo("lm_head.qweight", INT32, (4, 4), "file")}

    assert "head" in read_quantization(table(lm_head=False), SPEC, tensors).linears


def test_a_tensor_of_all_experts_is_the_weight_of_each():
    down = ModuleSource("experts.down_proj", (Entry(),), is_weight=True)
    shapes = {"experts.down_proj": (2, 4, 8), "experts.down_proj_weight_scale": (2, 4, 1)}
    tensors = {name: TensorInfo(name, FLOAT32, shape, "f") for name, shape in shapes.items()}

    found = TensorHeaders(tensors).tensors_of(down)

    assert {name: tensor.shape for name, tensor in found.items()} == {
        "weight": (4, 8),
        "weight_scale": (4, 1),
    }


def test_look_up_tables_without_a_config_are_squeezellm():
    found = read_quantization({}, SPEC, headers(qweight=INT32, lookup_table=FLOAT32))

    assert found.method == "squeezellm"
    assert set(found.linears) >= {"layers.1.feed_forward.down"}


def test_packed_weights_that_no_file_explains_are_refused():
    with pytest.raises(UnsupportedModelError, match=r"down_proj is stored packed \(qweight\)"):
        read_quantization({}, SPEC, headers(qweight=INT32))


def test_parameters_may_stand_by_the_name_of_a_module():
    extra = {
        "model.layers.0.mlp.up_proj": {"bits": 8},
        "model.layers.1.mlp.up_proj": {"bits": 16},
        r".*\.0\..*down_proj": {"bits": 2},
    }

    found = read(bits=4, extra_config=extra).linears

    assert found["layers.0.feed_forward.up"] == {"bits": 8}
    assert "layers.1.feed_forward.up" not in found
    assert found["layers.0.feed_forward.down"] == {"bits": 2}
    assert found["layers.1.feed_forward.down"] == {"bits": 4}


def test_a_group_may_be_a_preset_and_its_targets():
    found = read(config_groups={"W4A16": ["Linear"]}).linears

    assert found["layers.0.feed_forward.up"] == {"preset": "W4A16", "targets": ["Linear"]}
