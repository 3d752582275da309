"""Reads `quantization_config`: which linears of a checkpoint are stored by its method, and with which parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.checkpoint.cache_scales import cache_dtype
from jackfield.checkpoint.quantization_files import QUANTIZATION_KEYS
from jackfield.checkpoint.tensor_headers import TensorHeaders, read_stored
from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.weights import TensorInfo
from jackfield.model_spec import ModelSpec, Quantization

# Names that producers use for the list of modules that are stored plainly.
_EXCLUDED = ("modules_to_not_convert", "ignored_layers", "llm_int8_skip_modules", "ignore")
_INCLUDED = "modules_in_block_to_quantize"  # GPTQ: only these modules are quantized
_OVERRIDES = "dynamic"  # GPTQModel: parameters by pattern, "-:" for none
_GROUPS = "config_groups"  # compressed-tensors: parameters by target
_BY_NAME = "extra_config"  # AutoRound: parameters by name of a module, or pattern
_HEAD = "lm_head"  # GPTQ: true if the head is quantized too
_OF_THE_READER = {"quant_method", *_EXCLUDED, _INCLUDED, _OVERRIDES, _GROUPS, _BY_NAME, _HEAD}
_PLAIN_BITS = 16  # AutoRound: bits of modules that are not quantized
_SIGN = re.compile(r"([+-]:)?(.*)", re.DOTALL)
_PATTERN = re.compile(r"[*+?^$|()\\\[\]]")  # a plain name has none of these characters


def read_quantization(
    config: Mapping[str, Any],
    spec: ModelSpec,
    tensors: Mapping[str, TensorInfo] | None = None,
) -> Quantization | None:
    """How the linears of `spec` are stored; None: plainly. Raises UnsupportedModelError.

    Names in the config are names of modules in the checkpoint. A list of exclusions may also hold parts of names and
    patterns, as in Transformers. Without such a list, the head and a linear tied to the embedding are plain. If the
    headers of `tensors` show how a linear is stored, that counts before the config.
    """
    headers = TensorHeaders(tensors or {})
    values = next((config[key] for key in QUANTIZATION_KEYS if config.get(key)), None)
    if values is None:
        values = headers.table(_stored_name(module, spec) for module in spec.linears)
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
    try:
        found = {
            module: _settings(
                rules, headers, _stored_name(module, spec), module == "head" and is_head_plain
            )
            for module in spec.linears
        }
    except re.error as error:
        raise UnsupportedModelError(
            f"quantization_config of {spec.architecture} has a pattern that is none: {error.pattern!r} ({error}). "
            "Correct it in config.json, or fetch that file again"
        ) from None
    linears = {module: settings for module, settings in found.items() if settings is not None}
    return Quantization(
        method=method.lower(),
        linears=linears,
        cache_dtype=cache_dtype(values),
        stored=read_stored(spec, linears, headers) if tensors else {},
    )


def _settings(
    rules: _Rules, headers: TensorHeaders, name: str, is_plain: bool
) -> Mapping[str, Any] | None:
    """The parameters of a module; None if it is stored plainly."""
    shown = headers.is_plain(name)
    if shown is None:
        return None if is_plain or rules.is_excluded(name) else rules.settings(name)
    if shown:
        return None
    return rules.settings(name) or rules.common


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules of a quantization_config for single modules."""

    values: Mapping[str, Any]

    @property
    def speak_of_the_head(self) -> bool:
        """True if the head is quantized unless it is excluded."""
        keys = (*_EXCLUDED, _GROUPS)
        return bool(self.values.get(_HEAD)) or any(self.values.get(k) is not None for k in keys)

    @property
    def common(self) -> Mapping[str, Any]:
        """The parameters that hold for all modules."""
        return {key: value for key, value in self.values.items() if key not in _OF_THE_READER}

    def settings(self, name: str) -> Mapping[str, Any] | None:
        """The parameters of a module; None if the rules say that it is stored plainly."""
        if groups := self.values.get(_GROUPS):
            return self._of_group(groups, name)
        override = self._by_name(name)
        if override is not None:
            is_plain = int(override.get("bits") or 0) >= _PLAIN_BITS
            return None if is_plain else {**self.common, **override}
        for pattern, override in (self.values.get(_OVERRIDES) or {}).items():
            sign, regex = _SIGN.fullmatch(pattern).groups()  # type: ignore[union-attr]  # matches all
            if re.match(regex, name):
                return None if sign == "-:" else {**self.common, **override}
        return self.common

    def is_excluded(self, name: str) -> bool:
        """True if a list says that the module is stored plainly."""
        excluded = (word for key in _EXCLUDED for word in self.values.get(key) or ())
        included = self.values.get(_INCLUDED) or ()
        words = [
            word for block in included for word in ([block] if isinstance(block, str) else block)
        ]
        is_left_out = bool(words) and not any(_means(word, name) for word in words)
        return is_left_out or any(_means(word, name) for word in excluded)

    def _of_group(self, groups: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
        """Parameters of the first group that targets the module. If a group is only a list of targets, its key is a
        preset.
        """
        for key, group in groups.items():
            if not isinstance(group, Mapping):
                group = {"preset": key, "targets": group}
            if _is_target(group, name):
                return {**self.common, **group}
        return None

    def _by_name(self, name: str) -> Mapping[str, Any] | None:
        table = self.values.get(_BY_NAME) or {}
        if name in table:
            return dict(table[name])
        return next((dict(v) for k, v in table.items() if re.fullmatch(k, name)), None)


def _stored_name(module: str, spec: ModelSpec) -> str:
    try:
        return spec.source(module).prefix
    except KeyError:
        return module


def _is_target(group: Mapping[str, Any], name: str) -> bool:
    return any(word == "Linear" or _means(word, name) for word in group.get("targets") or ())


def _means(word: str, name: str) -> bool:
    """True if an entry of a list means the module: "re:REGEX", a pattern, or whole parts of its name."""
    if word.startswith("re:"):
        return re.match(word.removeprefix("re:"), name) is not None
    if _PATTERN.search(word):
        regex = f".{word}" if word.startswith("*") else word  # a glob
        return re.match(rf"(?:{regex})(?:(?<=\.)|\.|$)", name) is not None
    return f".{word.strip('.')}." in f".{name}."
