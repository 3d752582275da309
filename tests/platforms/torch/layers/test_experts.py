"""Experts give the weighed sum of those that a token chose, however they are stored and shared out."""

import os

import pytest
import torch

from jackfield_torch.interfaces.linear import ExpertLinear
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.compose import identity
from jackfield_torch.layers.experts import SeparateExperts
from jackfield_torch.layers.linear import PlainLinear
from jackfield_torch.layers.stacked_experts import StackedExperts, StackedLinear, matmul_each
from jackfield_torch.loader import RandomWeights, WeightShard

CPU = torch.device("cpu")
NUM_EXPERTS, TOP_K, SIZE = 6, 2, 8


def loop(x_SI, weight_XOI, bias_XO, expert_S, ends_X1):
    """What the kernel computes, row by row."""
    y_SO = torch.zeros(len(x_SI), weight_XOI.shape[1])
    for row, expert in enumerate(expert_S.tolist()):
        if 0 <= expert < len(weight_XOI):
            bias = 0.0 if bias_XO is None else bias_XO[expert]
            y_SO[row] = weight_XOI[expert] @ x_SI[row] + bias
    return y_SO


class Chosen:
    """A step of tokens and what they chose."""

    def __init__(self, num_tokens):
        torch.manual_seed(num_tokens)
        self.x_TE = torch.randn(num_tokens, SIZE)
        self.expert_TK = torch.rand(num_tokens, NUM_EXPERTS).topk(TOP_K).indices
        self.weight_TK = torch.rand(num_tokens, TOP_K)
        self.matrix_XEE = torch.randn(NUM_EXPERTS, SIZE, SIZE)

    @property
    def expected(self):
        x, matrix = self.x_TE.double(), self.matrix_XEE.double()
        rows = [
            sum(w * (matrix[e] @ matrix[e] @ x[t]) for e, w in zip(experts, weights, strict=True))
            for t, (experts, weights) in enumerate(
                zip(self.expert_TK.tolist(), self.weight_TK.double().tolist(), strict=True)
            )
        ]
        return torch.stack(rows).float()

    def run(self, experts):
        return experts(self.x_TE, self.expert_TK, self.weight_TK)

    def separate(self, held):
        linears = [PlainLinear(self.matrix_XEE[e], None) for e in held]
        return SeparateExperts(held, NUM_EXPERTS, linears, identity, linears)

    def stacked(self, held):
        linear = Multiplied(loop, self.matrix_XEE[held.start : held.stop])
        return StackedExperts(held, NUM_EXPERTS, linear, identity, linear)

    def stacked_on_the_host(self, held):
        linear = Multiplied(matmul_each, self.matrix_XEE[held.start : held.stop])
        return StackedExperts(held, NUM_EXPERTS, linear, identity, linear)


class Multiplied(ExpertLinear):
    def __init__(self, matmul, weight_XOI):
        self.matmul, self.weight_XOI = matmul, weight_XOI

    def __call__(self, x_SI, rows):
        return self.matmul(x_SI, self.weight_XOI, None, rows.expert_S, rows.ends_X1)


@pytest.mark.parametrize("num_tokens", [1, 7])
@pytest.mark.parametrize("kind", ["separate", "stacked", "stacked_on_the_host"])
def test_each_token_gets_the_weighed_sum_of_its_experts(num_tokens, kind):
    chosen = Chosen(num_tokens)

    found = chosen.run(getattr(chosen, kind)(range(NUM_EXPERTS)))

    torch.testing.assert_close(found, chosen.expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_tokens", [1, 7])
@pytest.mark.parametrize("kind", ["separate", "stacked", "stacked_on_the_host"])
def test_shares_of_ranks_that_hold_whole_experts_add_up(num_tokens, kind):
    chosen = Chosen(num_tokens)
    ranks = [getattr(chosen, kind)(range(start, start + 3)) for start in (0, 3)]

    found = sum(map(chosen.run, ranks))

    torch.testing.assert_close(found, chosen.expected, rtol=1e-4, atol=1e-4)


def test_experts_that_nobody_chose_are_not_touched():
    chosen, touched = Chosen(1), []
    linears = [lambda x, e=e: touched.append(e) or x for e in range(NUM_EXPERTS)]

    chosen.run(SeparateExperts(range(NUM_EXPERTS), NUM_EXPERTS, linears, identity, linears))

    assert set(touched) == set(chosen.expert_TK[0].tolist())


def test_stacked_weights_are_this_ranks_share_of_each_part():
    weights = RandomWeights(0, CPU, std=1.0)
    experts = [
        [LinearPart(name=f"{e}.{name}", in_size=3, out_size=4, bias=True) for name in ("g", "u")]
        for e in range(2)
    ]
    linears = [
        StackedLinear(experts, WeightShard(weights, rank, 2, CPU, torch.float32), lambda *a: a[1:3])
        for rank in (0, 1)
    ]
    (first, bias), _ = (linear(None, Rows) for linear in linears)

    assert (first.shape, bias.shape) == ((2, 4, 3), (2, 4))
    assert torch.equal(first[1, 2:], weights.read("1.u", "weight", (4, 3))[:2])


class Rows:
    expert_S = ends_X1 = None


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="TRITON_INTERPRET is not 1")
@pytest.mark.parametrize("is_sorted", [False, True])
def test_the_kernel_multiplies_each_row_with_the_matrix_of_its_expert(is_sorted):
    from jackfield_torch.kernels.experts import grouped_matmul

    torch.manual_seed(0)
    x_SI, weight_XOI, bias_XO = torch.randn(40, 100), torch.randn(4, 70, 100), torch.randn(4, 70)
    expert_S = torch.randint(-1, 5, (40,))
    expert_S = expert_S.sort().values if is_sorted else expert_S
    ends_X1 = torch.searchsorted(expert_S, torch.arange(5)) if is_sorted else None

    found = grouped_matmul(x_SI, weight_XOI, bias_XO, expert_S, ends_X1)

    is_held = (expert_S >= 0) & (expert_S < 4) if is_sorted else slice(None)
    expected = loop(x_SI, weight_XOI, bias_XO, expert_S, None)
    torch.testing.assert_close(found[is_held], expected[is_held], rtol=1e-4, atol=1e-3)
