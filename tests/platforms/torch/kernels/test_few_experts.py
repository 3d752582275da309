"""Router and experts of few tokens against torch's operations in float64: on an accelerator, or in Triton's interpreter."""

import os

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="TRITON_INTERPRET is not 1")
    ),
]
BOUND = {torch.float32: 2e-6, torch.bfloat16: 8e-3}  # of the norm of all outputs
HIDDEN, BETWEEN, EXPERTS, TOP_K = 96, 40, 12, 3


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(params=BOUND, ids=str)
def dtype(request):
    if INTERPRETED and request.param == torch.bfloat16:
        pytest.skip("the interpreter does not multiply bfloat16")
    return request.param


@pytest.fixture
def draw(device):
    """Noise of a shape, seeded."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator).to(device)


def few_experts(draw, dtype, *, bias=False, first=0, held=EXPERTS):
    from jackfield_torch.interfaces.kernels import ExpertFacts
    from jackfield_torch.kernels.few_choices import FewChoices

    facts = ExpertFacts(
        into_XOI=draw(held, 2 * BETWEEN, HIDDEN).to(dtype),
        into_bias_XO=draw(held, 2 * BETWEEN).to(dtype) if bias else None,
        out_XOI=draw(held, HIDDEN, BETWEEN).to(dtype),
        out_bias_XO=draw(held, HIDDEN).to(dtype) if bias else None,
        activation="silu",
        first=first,
    )
    return FewChoices(facts), facts


def exact_sum(facts, x_TE, expert_TK, weight_TK):
    total = torch.zeros(x_TE.shape, dtype=torch.float64, device=x_TE.device)
    for token, (experts, weights) in enumerate(zip(expert_TK.tolist(), weight_TK, strict=True)):
        for expert, weight in zip(experts, weights.double(), strict=True):
            place = expert - facts.first
            if 0 <= place < len(facts.into_XOI):
                total[token] += weight * one_expert(facts, place, x_TE[token].double())
    return total


def one_expert(facts, place, x_E):
    both = facts.into_XOI[place].double() @ x_E
    if facts.into_bias_XO is not None:
        both += facts.into_bias_XO[place].double()
    gate, up = both.chunk(2)
    y_E = facts.out_XOI[place].double() @ (torch.nn.functional.silu(gate) * up)
    return y_E if facts.out_bias_XO is None else y_E + facts.out_bias_XO[place].double()


def chosen(device, num_tokens, num_experts=EXPERTS):
    generator = torch.Generator().manual_seed(1)
    ranks = torch.rand(num_tokens, num_experts, generator=generator).argsort(1)
    return ranks[:, :TOP_K].to(device), torch.rand(num_tokens, TOP_K, generator=generator).to(
        device
    )


def distance(found, exact):
    return float((found.double() - exact).norm() / exact.norm().clamp(min=1.0))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("num_tokens", [1, 5, 40, 150])
def test_the_experts_of_few_tokens_are_summed_by_weight(draw, device, dtype, num_tokens, bias):
    run, facts = few_experts(draw, dtype, bias=bias)
    x_TE = draw(num_tokens, HIDDEN).to(dtype)
    expert_TK, weight_TK = chosen(device, num_tokens)

    found = run(x_TE, expert_TK, weight_TK)

    assert distance(found, exact_sum(facts, x_TE, expert_TK, weight_TK)) < BOUND[dtype]


@pytest.mark.parametrize("num_tokens", [1, 40])
def test_experts_of_other_ranks_add_nothing(draw, device, dtype, num_tokens):
    run, facts = few_experts(draw, dtype, first=EXPERTS)  # of three ranks the second
    x_TE = draw(num_tokens, HIDDEN).to(dtype)
    expert_TK, weight_TK = chosen(device, num_tokens, 3 * EXPERTS)

    found = run(x_TE, expert_TK, weight_TK)

    assert distance(found, exact_sum(facts, x_TE, expert_TK, weight_TK)) < BOUND[dtype]


def test_a_rank_may_hold_fewer_experts_than_a_token_chooses(draw, device, dtype):
    run, facts = few_experts(draw, dtype, first=4, held=2)
    x_TE = draw(1, HIDDEN).to(dtype)
    expert_TK = torch.tensor([[0, 9, 5, 4]], device=device)
    weight_TK = torch.ones(1, 4, device=device)

    found = run(x_TE, expert_TK, weight_TK)

    assert distance(found, exact_sum(facts, x_TE, expert_TK, weight_TK)) < BOUND[dtype]


def test_all_tokens_may_choose_the_same_experts(draw, device, dtype):
    run, facts = few_experts(draw, dtype)
    x_TE = draw(70, HIDDEN).to(dtype)
    expert_TK = torch.tensor([[7, 0, 11]], device=device).expand(70, -1).contiguous()
    weight_TK = torch.ones(70, 3, device=device)

    found = run(x_TE, expert_TK, weight_TK)

    assert distance(found, exact_sum(facts, x_TE, expert_TK, weight_TK)) < BOUND[dtype]


@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "biases and sum of one"])
def test_a_router_chooses_as_torch_does(draw, device, scoring, extras):
    from jackfield_torch.interfaces.kernels import RouterFacts
    from jackfield_torch.kernels.route import route

    facts = RouterFacts(
        weight_XE=0.1 * draw(EXPERTS, 300),  # so that no sigmoid is 1
        bias_X=draw(EXPERTS) if extras else None,
        choice_bias_X=draw(EXPERTS) if extras else None,
        top_k=TOP_K,
        is_sigmoid=scoring == "sigmoid",
        renormalise=extras,
        factor=2.5,
    )
    x_TE = draw(21, 300).bfloat16()
    logits = x_TE.double() @ facts.weight_XE.double().T
    logits = logits if facts.bias_X is None else logits + facts.bias_X.double()
    scores = logits.sigmoid() if facts.is_sigmoid else logits.softmax(-1)
    ranked = scores if facts.choice_bias_X is None else scores + facts.choice_bias_X.double()
    expected_TK = ranked.topk(TOP_K).indices
    weights = scores.gather(1, expected_TK)
    weights = weights / weights.sum(1, keepdim=True) if extras else weights

    expert_TK, weight_TK = route(facts, x_TE)

    assert torch.equal(expert_TK, expected_TK)
    assert distance(weight_TK, 2.5 * weights) < 1e-5
