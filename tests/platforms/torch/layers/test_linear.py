import pytest
import torch

from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers import linear as linear_module
from jackfield_torch.layers.linear import JoinedLinear, PackedLinear, PlainLinear, build_linear
from jackfield_torch.loader import RandomWeights, WeightShard
from jackfield_torch.unquantized import UnquantizedScheme

CPU = torch.device("cpu")
QKV = [
    LinearPart(name=name, in_size=64, out_size=size, bias=True)
    for name, size in (("q", 48), ("k", 16), ("v", 16))
]


@pytest.fixture
def shard():
    return WeightShard(RandomWeights(0, CPU, std=1.0), 0, 1, CPU, torch.float32)


@pytest.fixture
def without_packing(monkeypatch):
    monkeypatch.setattr(linear_module, "_packs", lambda device, dtype: False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_tokens", [1, 5, 64])
def test_packed_weights_give_what_plain_weights_give(dtype, num_tokens):
    weight_OI, bias_O = torch.randn(48, 32).to(dtype), torch.randn(48).to(dtype)
    x_TI = torch.randn(num_tokens, 32).to(dtype)

    packed, plain = (kind(weight_OI, bias_O)(x_TI) for kind in (PackedLinear, PlainLinear))

    assert packed.dtype == dtype
    torch.testing.assert_close(
        packed, plain, rtol=1e-5 if dtype == torch.float32 else 2e-2, atol=1e-1
    )


def test_packed_weights_take_a_view_into_a_wider_tensor():
    weight_OI, wide = torch.randn(48, 32), torch.randn(6, 64)

    found = PackedLinear(weight_OI, None)(wide[:, 32:])

    torch.testing.assert_close(found, PlainLinear(weight_OI, None)(wide[:, 32:]))


def test_a_dtype_that_cannot_be_packed_runs_row_major(shard):
    shard.dtype = torch.float64

    assert isinstance(build_linear(QKV, shard), PlainLinear)


def test_fused_parts_give_their_outputs_one_after_another(shard):
    x_TI = torch.randn(3, 64)
    scheme = UnquantizedScheme()

    fused = scheme.create(QKV, shard)(x_TI)
    joined = JoinedLinear([scheme.create([part], shard) for part in QKV])(x_TI)

    torch.testing.assert_close(fused, joined)


def test_parts_with_and_without_bias_are_not_fused():
    with_bias, without = QKV[0], LinearPart(name="k", in_size=64, out_size=16)

    assert UnquantizedScheme().can_fuse(QKV)
    assert not UnquantizedScheme().can_fuse([with_bias, without])


def test_parts_of_another_input_or_split_are_not_fused():
    row = LinearPart(name="o", in_size=64, out_size=16, bias=True, split="row")
    narrow = LinearPart(name="k", in_size=32, out_size=16, bias=True)

    assert not UnquantizedScheme().can_fuse([QKV[0], narrow])
    assert not UnquantizedScheme().can_fuse([row, row])


def test_a_row_major_head_shares_the_memory_of_the_tied_table(without_packing, shard):
    table = shard.table("embedding", 10, 4, shared_as="head")

    linear = build_linear([LinearPart(name="head", in_size=4, out_size=10, split="none")], shard)

    assert linear.weight_OI.data_ptr() == table.data_ptr()


def test_a_row_major_share_does_not_keep_the_whole_alive(without_packing):
    shard = WeightShard(RandomWeights(0, CPU), 1, 2, CPU, torch.float32)

    linear = build_linear([LinearPart(name="q", in_size=4, out_size=10)], shard)

    assert linear.weight_OI.untyped_storage().nbytes() == 5 * 4 * 4


def test_the_bias_of_a_row_parallel_linear_is_added_by_the_first_rank_alone():
    part = LinearPart(name="o", in_size=64, out_size=16, bias=True, split="row")
    shards = [WeightShard(RandomWeights(0, CPU), rank, 2, CPU, torch.float32) for rank in (0, 1)]

    first, second = (build_linear([part], shard)(torch.zeros(1, 32)) for shard in shards)

    assert first.abs().sum() > 0
    assert second.abs().sum() == 0
