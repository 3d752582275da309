"""Prompts of all forms that users write are told apart and taken."""

import numpy as np
import pytest
import torch

from jackfield.engine.prompt import is_single, plain_prompt
from jackfield.errors import RequestError

CHAT = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("hi", "hi"),
        ([1, 2], [1, 2]),
        (CHAT, CHAT),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([1, 2]), [1, 2]),
        ({"prompt": "hi"}, "hi"),
        ({"prompt": "hi", "multi_modal_data": None}, "hi"),
        ({"prompt_token_ids": [1, 2], "prompt": "hi"}, [1, 2]),
        ({"prompt_token_ids": np.array([1, 2])}, [1, 2]),
        ({"messages": CHAT}, CHAT),
    ],
)
def test_one_prompt_is_taken_as_what_it_holds_alone_and_in_a_list(prompt, expected):
    assert is_single(prompt)
    assert not is_single([prompt])
    assert plain_prompt(prompt) == expected


@pytest.mark.parametrize(
    "several", [[], np.array([[1, 2], [3, 4]]), [[1], [2]], [CHAT, CHAT], ["a"]]
)
def test_several_prompts_are_no_single_one(several):
    assert not is_single(several)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (5, "got int"),
        (b"hi", "got bytes"),
        ({"promt": "hi"}, "got a mapping with the keys 'promt'"),
        ({"prompt": "hi", "max_tokens": 5}, "with 'prompt' cannot have 'max_tokens' too"),
        ({"role": "user", "content": "hi"}, "got a mapping with the keys 'role', 'content'"),
    ],
)
def test_what_is_no_prompt_names_all_forms(prompt, told):
    with pytest.raises(RequestError, match=told):
        plain_prompt(prompt)
