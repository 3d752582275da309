"""The page about models shows code that runs."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-a-model.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_function_on_the_page_is_the_one_of_the_example():
    assert blocks("python")[0] in (ROOT / "examples" / "custom_model.py").read_text()


@pytest.mark.parametrize("block", blocks("toml"))
def test_settings_on_the_page_name_the_example(block):
    assert "stablelm" in str(tomllib.loads(block))


@pytest.mark.parametrize("name", re.findall(r"`(read_\w+|make_spec|STANDARD_MODULES)`", PAGE))
def test_helpers_on_the_page_exist(name):
    from jackfield.interfaces import model_config

    assert hasattr(model_config, name)
