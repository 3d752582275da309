"""Checks that a builder reads configs as the reference of its family does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

from jackfield.errors import JackfieldError
from jackfield.interfaces.model import ConfigReader, ModelBuilder
from jackfield.model_spec import ModelSpec
from jackfield_testing_torch.conformance.altered_configs import (
    with_keys_changed,
    with_keys_left_out,
)
from jackfield_testing_torch.conformance.known_model import ConfigMeaning
from jackfield_testing_torch.conformance.spec_difference import difference
from jackfield_testing_torch.conformance.tolerances import LOGITS


def check_same(builder: ModelBuilder, config: Mapping[str, Any], expected: ModelSpec) -> None:
    """Check that a config gives the expected spec."""
    differs = difference(builder(ConfigReader(config)), expected)
    assert not differs, f"{differs}, for the config {dict(config)}"


def check_left_out(
    builder: ModelBuilder, meaning: ConfigMeaning, config: Mapping[str, Any], token_ids_T: Tensor
) -> None:
    """Check that a config without a key, or with null for it, is refused or means what the reference fills in."""
    for how, altered in with_keys_left_out(config):
        spec, whole = _spec(builder, altered), meaning.complete(altered)
        if spec is None or whole is None:
            continue
        expected = _spec(builder, whole)
        if spec != expected and meaning.logits(altered, token_ids_T) is not None:
            differs = difference(spec, expected) if expected else "a spec is built, not refused"
            pytest.fail(f"{how} {differs}: such is the default of the reference")


def check_unread(
    builder: ModelBuilder, meaning: ConfigMeaning, config: Mapping[str, Any], token_ids_T: Tensor
) -> None:
    """Check that a value that is neither refused nor changes the spec does not change the reference's answers."""
    spec = _spec(builder, config)
    logits_TV = meaning.logits(config, token_ids_T)
    assert logits_TV is not None, f"the reference refuses its own config: {dict(config)}"
    for how, altered in with_keys_changed(config):
        if _spec(builder, altered) != spec:  # also if it is refused
            continue
        found_TV = meaning.logits(altered, token_ids_T)
        if found_TV is not None:
            is_same = found_TV.shape == logits_TV.shape and bool(
                (found_TV - logits_TV).abs().max() <= LOGITS * logits_TV.abs().max()
            )
            assert is_same, (
                f"{how} changes the logits of the reference, but not the spec: read it, or refuse it"
            )


def _spec(builder: ModelBuilder, config: Mapping[str, Any]) -> ModelSpec | None:
    """The spec; None if the config is refused."""
    try:
        return builder(ConfigReader(config))
    except JackfieldError:
        return None
