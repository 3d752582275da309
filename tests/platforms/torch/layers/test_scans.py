"""What chunks compute at once is what tokens compute one by one."""

import pytest
import torch

from jackfield_torch.layers.scans import (
    delta_rule_scan,
    delta_rule_step,
    state_space_scan,
    state_space_step,
)


def noise(*shape):
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64
    )


@pytest.mark.parametrize("length", [1, 63, 64, 150])
def test_a_scan_of_a_state_space_is_many_steps(length):
    x, b, c = noise(2, length, 3, 5), noise(2, length, 3, 4), noise(2, length, 3, 4)
    decay, state = -noise(2, length, 3).abs(), noise(2, 3, 5, 4)

    y, last = state_space_scan(x, decay, b, c, state)

    for token in range(length):
        parts = (part[:, token] for part in (x, decay, b, c))
        expected, state = state_space_step(*parts, state)
        torch.testing.assert_close(y[:, token], expected)
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("length", [1, 63, 64, 150])
def test_a_scan_of_the_delta_rule_is_many_steps(length):
    q, v = noise(2, length, 3, 4), noise(2, length, 3, 5)
    k = torch.nn.functional.normalize(noise(2, length, 3, 4) + 0.1, dim=-1)
    beta, decay = noise(2, length, 3).sigmoid(), -noise(2, length, 3).abs()
    state = noise(2, 3, 4, 5)

    o, last = delta_rule_scan(q, k, v, beta, decay, state)

    for token in range(length):
        parts = (part[:, token] for part in (q, k, v, beta, decay))
        expected, state = delta_rule_step(*parts, state)
        torch.testing.assert_close(o[:, token], expected)
    torch.testing.assert_close(last, state)
