"""The native experts compute what float64 arithmetic gives, in vectors and on the matrix unit."""

import pytest
import torch

from jackfield_cpu.fused import FusedKernels
from jackfield_cpu.native import ACTIVATIONS, load_library
from jackfield_torch.interfaces.kernels import ExpertFacts
from jackfield_torch.layers.activation import activation_function

LIBRARY = load_library()
pytestmark = pytest.mark.skipif(
    LIBRARY is None or not LIBRARY.jackfield_experts_serve(),
    reason="not compiled, or no vectors of 512 bits",
)
BOUND = {torch.float32: 2e-6, torch.bfloat16: 8e-3}  # of the norm of all outputs
EXPERTS, TOP_K = 8, 3
# Hidden size and size between. The matrix unit takes multiples of 32.
VECTORS, TILES = (50, 33), (128, 64)


def make(dtype, sizes=TILES, *, bias=False, activation="silu", first=0):
    """The weights of experts, and what computes them."""
    hidden, between = sizes
    torch.manual_seed(0)
    facts = ExpertFacts(
        into_XOI=(torch.randn(EXPERTS, 2 * between, hidden) / hidden**0.5).to(dtype),
        into_bias_XO=torch.randn(EXPERTS, 2 * between).to(dtype) if bias else None,
        out_XOI=(torch.randn(EXPERTS, hidden, between) / between**0.5).to(dtype),
        out_bias_XO=torch.randn(EXPERTS, hidden).to(dtype) if bias else None,
        activation=activation,
        first=first,
    )
    return facts, FusedKernels(LIBRARY, num_threads=2).few_experts(facts)


def choose(num_tokens, num_experts=EXPERTS):
    torch.manual_seed(num_tokens)
    expert_TK = torch.rand(num_tokens, num_experts).argsort(1)[:, :TOP_K]
    return expert_TK, torch.rand(num_tokens, TOP_K)


def exact_sum(facts, x_TE, expert_TK, weight_TK):
    x_TE, total_TE = x_TE.double(), torch.zeros(x_TE.shape, dtype=torch.float64)
    for place in range(EXPERTS):
        is_mine_TK = expert_TK == facts.first + place
        both = x_TE @ facts.into_XOI[place].double().T
        both += 0.0 if facts.into_bias_XO is None else facts.into_bias_XO[place].double()
        gate, up = both.chunk(2, -1)
        y_TE = (activation_function(facts.activation)(gate) * up) @ facts.out_XOI[place].double().T
        y_TE += 0.0 if facts.out_bias_XO is None else facts.out_bias_XO[place].double()
        total_TE += (weight_TK.double() * is_mine_TK).sum(1, keepdim=True) * y_TE
    return total_TE


def assert_exact(run, facts, x_TE, expert_TK, weight_TK):
    found, exact = run(x_TE, expert_TK, weight_TK), exact_sum(facts, x_TE, expert_TK, weight_TK)

    assert found.dtype == x_TE.dtype
    assert float((found.double() - exact).norm() / exact.norm()) < BOUND[x_TE.dtype]


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("sizes", [VECTORS, TILES], ids=["vectors", "tiles"])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "biases"])
@pytest.mark.parametrize("num_tokens", [1, 5, 90])
def test_each_token_gets_the_weighed_sum_of_its_experts(dtype, sizes, bias, num_tokens):
    facts, run = make(dtype, sizes, bias=bias)
    x_TE = torch.randn(num_tokens, sizes[0]).to(dtype)

    assert_exact(run, facts, x_TE, *choose(num_tokens))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gate_and_up_are_joined_by_each_activation(activation):
    facts, run = make(torch.float32, activation=activation)

    assert_exact(run, facts, 3 * torch.randn(6, TILES[0]), *choose(6))


@pytest.mark.parametrize("num_tokens", [2, 60])
def test_experts_of_other_ranks_add_nothing(num_tokens):
    facts, run = make(torch.bfloat16, first=EXPERTS)  # of three ranks the second
    x_TE = torch.randn(num_tokens, TILES[0]).bfloat16()

    assert_exact(run, facts, x_TE, *choose(num_tokens, 3 * EXPERTS))


def test_a_token_that_chose_no_expert_of_the_rank_gets_zeros():
    _, run = make(torch.bfloat16, first=EXPERTS)

    found = run(torch.randn(1, TILES[0]).bfloat16(), *choose(1, EXPERTS))

    assert torch.equal(found, torch.zeros(1, TILES[0], dtype=torch.bfloat16))


def test_nan_of_a_token_stays_with_it():
    _, run = make(torch.bfloat16)
    x_TE = torch.randn(40, TILES[0]).bfloat16()
    x_TE[7, 3] = float("nan")

    found = run(x_TE, *choose(40))

    assert found.isnan().any(1).nonzero().flatten().tolist() == [7]


def test_experts_are_packed_one_by_one_where_the_kernel_does_not_serve():
    kernels = FusedKernels(LIBRARY, num_threads=1)

    assert kernels.stacks_experts(torch.bfloat16, "silu")
    assert not kernels.stacks_experts(torch.float16, "silu")
    assert not kernels.stacks_experts(torch.bfloat16, "gelu")
    assert not kernels.stacks_experts(torch.bfloat16, "")
