import weakref
from dataclasses import replace

import pytest
import torch

from jackfield.dtypes import parse_dtype
from jackfield.errors import CheckpointError
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield.model_spec import ModuleSource, Split, Transpose
from jackfield_llama.model import llama
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.loader import CheckpointWeights, RandomWeights, WeightShard

CPU = torch.device("cpu")
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 10,
    "hidden_size": 4,
    "intermediate_size": 6,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 8,
}
SPEC = llama(ConfigReader(CONFIG))
Q_NAME = "model.layers.0.self_attn.q_proj.weight"
SINKS_NAME = "model.layers.0.self_attn.sinks"


class Buffer(bytearray):
    """Bytes whose life can be watched."""


class FakeCheckpoint(Checkpoint):
    config = CONFIG

    def __init__(self, tensors):
        self._values = tensors
        self.alive_at_read = []
        self._buffers = []

    @property
    def tensors(self):
        return {
            name: TensorInfo(
                name, parse_dtype(str(value.dtype)), tuple(value.shape), "a.safetensors"
            )
            for name, value in self._values.items()
        }

    def read(self, name):
        self.alive_at_read.append(sum(buffer() is not None for buffer in self._buffers))
        buffer = Buffer(self._values[name].contiguous().view(torch.uint8).numpy().tobytes())
        self._buffers.append(weakref.ref(buffer))
        return memoryview(buffer).toreadonly()

    def close(self):
        pass


@pytest.fixture
def make_weights():
    def make(tensors, spec=SPEC):
        return CheckpointWeights(FakeCheckpoint(tensors), spec)

    return make


def test_a_tensor_keeps_its_stored_dtype_and_values(make_weights):
    stored = torch.randn(4, 4).bfloat16()

    read = make_weights({Q_NAME: stored}).read("layers.0.mixer.q", "weight", (4, 4))

    assert torch.equal(read, stored)


def test_a_norm_is_read_in_float32(make_weights):
    weights = make_weights({"model.norm.weight": torch.ones(4).bfloat16()})

    assert weights.norm_weight("final_norm", 4, fill=1.0).dtype == torch.float32


def test_each_rank_holds_the_sinks_of_its_own_heads_in_float32(make_weights):
    stored = torch.randn(6).bfloat16()
    weights = make_weights({SINKS_NAME: stored})
    shards = [WeightShard(weights, rank, 2, CPU, torch.bfloat16) for rank in range(2)]

    sinks = [shard.sinks("layers.0.mixer.sinks", 6) for shard in shards]

    assert torch.equal(torch.cat(sinks), stored.float())


def test_missing_sinks_are_named_as_checkpoints_name_them(make_weights):
    shard = WeightShard(make_weights({Q_NAME: torch.ones(4, 4)}), 0, 1, CPU, torch.float32)

    with pytest.raises(CheckpointError, match=f"'{SINKS_NAME}' of shape .* is missing"):
        shard.sinks("layers.0.mixer.sinks", 6)


def test_a_missing_tensor_is_named_with_its_shape_its_module_and_the_files(make_weights):
    weights = make_weights({"model.norm.weight": torch.ones(4)})

    with pytest.raises(CheckpointError) as error:
        weights.read("layers.0.mixer.q", "weight", (4, 4))

    for word in (Q_NAME, "(4, 4)", "layers.0.mixer.q", "a.safetensors", "LlamaForCausalLM"):
        assert word in str(error.value)


def test_a_tensor_of_another_shape_is_named_with_both_shapes_and_its_file(make_weights):
    weights = make_weights({Q_NAME: torch.zeros(4, 5)})

    with pytest.raises(CheckpointError) as error:
        weights.read("layers.0.mixer.q", "weight", (4, 4))

    for word in (Q_NAME, "a.safetensors", "(4, 5)", "(4, 4)"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("shape", "found"), [((4, 12), r"gives \(4, 4\)"), ((4, 3), "rows 4 to 8 do not exist")]
)
def test_a_tensor_that_does_not_fit_its_transforms_says_what_they_give(make_weights, shape, found):
    source = ModuleSource("fused", (Transpose(), Split(4, 8)))
    spec = replace(SPEC, modules={**SPEC.modules, "layers.{i}.mixer.q": source})
    weights = make_weights({"fused.weight": torch.zeros(shape)}, spec)

    with pytest.raises(CheckpointError, match=found):
        weights.read("layers.0.mixer.q", "weight", (8, 4))


def test_a_module_that_the_spec_forgot_is_named(make_weights):
    with pytest.raises(CheckpointError, match="does not say where positions stands"):
        make_weights({}).read("positions", "weight", (8, 4))


def test_a_checkpoint_of_a_bare_base_model_lacks_the_first_word_of_its_names(make_weights):
    weights = make_weights({Q_NAME.removeprefix("model."): torch.ones(4, 4)})

    assert weights.has("layers.0.mixer.q", "weight")
    assert weights.read("layers.0.mixer.q", "weight", (4, 4)).sum() == 16


def test_tensors_that_nobody_asked_for_are_told_once_by_name(make_weights, caplog):
    weights = make_weights({"model.norm.weight": torch.ones(4), "adapter.weight": torch.ones(1)})
    weights.read("final_norm", "weight", (4,))

    weights.finish()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "1 tensors" in caplog.text
    assert "adapter.weight" in caplog.text


def test_buffers_of_older_releases_and_the_twin_of_a_tied_head_are_not_told(make_weights, caplog):
    names = ["model.layers.0.self_attn.rotary_emb.inv_freq", "h.0.attn.bias", "lm_head.weight"]
    weights = make_weights({name: torch.ones(1) for name in names}, replace(SPEC, tied_head=True))

    weights.finish()

    assert caplog.records == []


def test_no_buffer_of_the_checkpoint_outlives_the_reading_of_its_tensor():
    names = [f"model.layers.0.self_attn.{name}_proj.weight" for name in "qkv"]
    checkpoint = FakeCheckpoint({name: torch.ones(4, 4) for name in names})
    weights = CheckpointWeights(checkpoint, SPEC)

    kept = [weights.read(f"layers.0.mixer.{name}", "weight", (4, 4)) for name in "qkv"]

    assert checkpoint.alive_at_read == [0, 0, 0]
    assert [int(tensor.sum()) for tensor in kept] == [16, 16, 16]


def test_random_weights_depend_on_seed_and_name_alone():
    first, again, other = (RandomWeights(seed, CPU) for seed in (1, 1, 2))
    q, v = (f"layers.0.mixer.{name}" for name in "qv")

    assert torch.equal(first.read(q, "weight", (8, 8)), again.read(q, "weight", (8, 8)))
    assert not torch.equal(first.read(q, "weight", (8, 8)), other.read(q, "weight", (8, 8)))
    assert not torch.equal(first.read(q, "weight", (8, 8)), first.read(v, "weight", (8, 8)))


def test_random_weights_are_normal_with_a_deviation_of_two_hundredths():
    drawn = RandomWeights(0, CPU).read("head", "weight", (300, 300))

    assert drawn.std().item() == pytest.approx(0.02, rel=0.02)
    assert drawn.mean().item() == pytest.approx(0.0, abs=0.0005)


def test_a_random_norm_leaves_its_input_alone():
    assert RandomWeights(0, CPU).norm_weight("final_norm", 3, fill=1.0).tolist() == [1, 1, 1]


def test_ranks_cut_equal_shares_and_may_hold_the_same_one():
    whole = torch.arange(8)
    shards = [WeightShard(RandomWeights(0, CPU), rank, 4, CPU, torch.float32) for rank in range(4)]

    assert [shard.cut(whole, 0).tolist() for shard in shards] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [shard.cut(whole, 0, copies=2).tolist()[0] for shard in shards] == [0, 0, 4, 4]


def test_a_tensor_that_ranks_cannot_share_equally_is_refused():
    shard = WeightShard(RandomWeights(0, CPU), 0, 3, CPU, torch.float32)

    with pytest.raises(CheckpointError, match="cannot be cut into 3 equal shares"):
        shard.cut(torch.zeros(8, 2), 0)


def test_a_tied_head_reads_the_very_table_of_the_embedding():
    shard = WeightShard(RandomWeights(0, CPU), 0, 1, CPU, torch.bfloat16)
    table = shard.table("embedding", 10, 4, shared_as="head")

    read = shard.read(LinearPart(name="head", in_size=4, out_size=10), "weight")

    assert read.data_ptr() == table.data_ptr()


def test_a_tensor_whose_parts_have_not_all_a_place_is_refused_at_the_end(make_weights):
    sources = {
        f"layers.{{i}}.mixer.{name}": ModuleSource("fused", (Split(4 * part, 4 * part + 4),))
        for part, name in enumerate("qk")
    }
    spec = replace(SPEC, modules={**SPEC.modules, **sources})
    weights = make_weights({"fused.weight": torch.zeros(9, 4)}, spec)
    for name in "qk":
        weights.read(f"layers.0.mixer.{name}", "weight", (4, 4))

    with pytest.raises(CheckpointError, match=r"fused.weight.*\(9, 4\).*a part has no place"):
        weights.finish()
