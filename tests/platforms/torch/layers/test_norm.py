import torch

from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.layers.compose import Multiply, chain, identity
from jackfield_torch.layers.norm import HeadNorms, LayerNorm, RmsNorm, SeparateHeadNorms


def test_an_rms_norm_in_bfloat16_rounds_once():
    x = (torch.randn(5, 64) * 30).bfloat16()
    weight = 1.0 + torch.randn(64) * 0.01  # bfloat16 would lose most of this

    found = RmsNorm(weight, 1e-6, Kernels())(x)

    wide = x.double()
    exact = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * weight
    assert torch.equal(found, exact.bfloat16())


def test_a_layer_norm_takes_the_mean_away_and_adds_its_bias():
    found = LayerNorm(torch.full((4,), 2.0), torch.ones(4), 0.0)(torch.tensor([[1.0, 1, 3, 3]]))

    assert torch.allclose(found, torch.tensor([[-1.0, -1, 3, 3]]))


def test_norms_of_heads_in_one_pass_equal_those_of_q_and_k_apart():
    q_H, k_H = torch.rand(8), torch.rand(8)
    x_TMH = torch.randn(3, 6, 8)[:, :5]

    together = HeadNorms(torch.cat((q_H.expand(4, -1), k_H.expand(1, -1))), 0.1)(x_TMH)
    apart = SeparateHeadNorms(4, RmsNorm(q_H, 0.1, Kernels()), RmsNorm(k_H, 0.1, Kernels()))(x_TMH)

    torch.testing.assert_close(together, apart)


def test_a_chain_of_identities_is_the_identity():
    assert chain(identity, identity) is identity


def test_a_chain_applies_its_functions_in_order():
    double_then_square = chain(Multiply(2.0), identity, torch.square)

    assert double_then_square(torch.tensor([3.0])).item() == 36.0


def test_a_norm_after_a_branch_in_parts_adds_them_up():
    x_TE, parts_PTE = torch.rand(3, 8), torch.rand(2, 3, 8)
    norm = RmsNorm(torch.rand(8), 0.1, Kernels())

    expected = norm(x_TE + parts_PTE[0] + parts_PTE[1])

    torch.testing.assert_close(norm.after(x_TE, parts_PTE), expected)
