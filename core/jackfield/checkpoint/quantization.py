"""Reads `quantization_config`: which linears of a checkpoint are stored by its method, and with which parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import ModelSpec, Quantization

_KEYS = ("quantization_config", "compression_config")  # the second in older compressed-tensors
# What the producers call the list of modules that are stored plainly.
_EXCLUDED = ("modules_to_not_convert", "ignored_layers", "llm_int8_skip_modules", "ignore")
_INCLUDED = "modules_in_block_to_quantize"  # GPTQ: nothing but these
_OVERRIDES = "dynamic"  # GPTQModel: parameters by pattern, "-:" for none
_GROUPS = "config_groups"  # compressed-tensors: parameters by target
_HEAD = "lm_head"  # GPTQ: true where the head is quantized too
_OF_THE_READER = {"quant_method", *_EXCLUDED, _INCLUDED, _OVERRIDES, _GROUPS, _HEAD}
_SIGN = re.compile(r"([+-]:)?(.*)", re.DOTALL)
_PATTERN = re.compile(r"[*+?^$|()\\\[\]]")  # no plain name has one of these


def read_quantization(config: Mapping[str, Any], spec: ModelSpec) -> Quantization | None:
    """How the linears of `spec` are stored; None: plainly. Raises UnsupportedModelError.

    Names in the config are those of modules in the checkpoint; a list of exclusions may also hold parts of names
    and patterns, as Transformers has it. Without such a list the head is plain, as is one tied to the embedding.
    """
    values = next((config[key] for key in _KEYS if config.get(key)), None)
    if values is None:
        return None
    method = values.get("quant_method") if isinstance(values, Mapping) else None
    if not isinstance(method, str):
        raise UnsupportedModelError(
            f"quantization_config of {spec.architecture} names no method: got {values!r}, expected a table with "
            "quant_method. Fetch config.json again, or add the method that the checkpoint was made with"
        )
    rules = _Rules(values)
    is_head_plain = spec.tied_head or not rules.speak_of_the_head
    modules = [module for module in spec.linears if module != "head" or not is_head_plain]
    try:
        found = {module: rules.settings(_stored_name(module, spec)) for module in modules}
    except re.error as error:
        raise UnsupportedModelError(
            f"quantization_config of {spec.architecture} has a pattern that is none: {error.pattern!r} ({error}). "
            "Correct it in config.json, or fetch that file again"
        ) from None
    linears = {module: settings for module, settings in found.items() if settings is not None}
    return Quantization(method=method.lower(), linears=linears)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a quantization_config says of single modules."""

    values: Mapping[str, Any]

    @property
    def speak_of_the_head(self) -> bool:
        """True where the head is quantized unless it is excluded."""
        keys = (*_EXCLUDED, _GROUPS)
        return bool(self.values.get(_HEAD)) or any(self.values.get(k) is not None for k in keys)

    def settings(self, name: str) -> Mapping[str, Any] | None:
        """The parameters of a module; None where it is stored plainly."""
        if self._is_excluded(name):
            return None
        plain = {key: value for key, value in self.values.items() if key not in _OF_THE_READER}
        if groups := self.values.get(_GROUPS):
            targets = (group for group in groups.values() if _is_target(group, name))
            return next(({**plain, **group} for group in targets), None)
        for pattern, override in (self.values.get(_OVERRIDES) or {}).items():
            sign, regex = _SIGN.fullmatch(pattern).groups()  # type: ignore[union-attr]  # matches all
            if re.match(regex, name):
                return None if sign == "-:" else {**plain, **override}
        return plain

    def _is_excluded(self, name: str) -> bool:
        excluded = (word for key in _EXCLUDED for word in self.values.get(key) or ())
        included = self.values.get(_INCLUDED) or ()
        words = [
            word for block in included for word in ([block] if isinstance(block, str) else block)
        ]
        is_left_out = bool(words) and not any(_means(word, name) for word in words)
        return is_left_out or any(_means(word, name) for word in excluded)


def _stored_name(module: str, spec: ModelSpec) -> str:
    try:
        return spec.source(module).prefix
    except KeyError:
        return module


def _is_target(group: Mapping[str, Any], name: str) -> bool:
    return any(word == "Linear" or _means(word, name) for word in group.get("targets") or ())


def _means(word: str, name: str) -> bool:
    """True where a word of a list means the module: "re:REGEX", a pattern, or whole parts of its name."""
    if word.startswith("re:"):
        return re.match(word.removeprefix("re:"), name) is not None
    if _PATTERN.search(word):
        regex = f".{word}" if word.startswith("*") else word  # a glob
        return re.match(rf"(?:{regex})(?:(?<=\.)|\.|$)", name) is not None
    return f".{word.strip('.')}." in f".{name}."
