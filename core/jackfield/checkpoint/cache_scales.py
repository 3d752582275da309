"""Reads for which cache a checkpoint was made: float8 keys and values, and the place of each layer's scale."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from jackfield.dtypes import FLOAT8_E4M3, DType
from jackfield.interfaces.weights import TensorInfo
from jackfield.model_spec import ModelSpec, ModuleSource

_LOG = logging.getLogger(__name__)
_SCHEME = "kv_cache_scheme"  # compressed-tensors; AutoFP8 writes a word under this key
_ALGORITHM = "kv_cache_quant_algo"  # NVIDIA ModelOpt
_WORDS = ("static", "fp8", "fp8_e4m3")


def cache_dtype(values: Mapping[str, Any]) -> DType | None:
    """The cache dtype in a quantization_config. None: there is none, or it is not supported, which a warning says."""
    scheme = values.get(_SCHEME) or values.get(_ALGORITHM)
    if not scheme:
        return None
    if isinstance(scheme, Mapping):
        is_known = scheme.get("type") == "float" and scheme.get("num_bits") == 8
    else:
        is_known = str(scheme).lower() in _WORDS
    if is_known:
        return FLOAT8_E4M3
    _LOG.warning(
        "the checkpoint asks for a cache of the form %s; known is float8_e4m3. Keys and values are kept in the dtype of the "
        "model. Set cache.dtype to choose another",
        scheme,
    )
    return None


def scale_sources(spec: ModelSpec, tensors: Mapping[str, TensorInfo]) -> dict[str, ModuleSource]:
    """The places of `layers.{i}.mixer.k_scale` and `.v_scale`, for the layers that have both."""
    if not any(name.endswith("_scale") for name in tensors):
        return {}
    found = {}
    for index, layer in enumerate(spec.layers):
        mixer = f"layers.{index}.mixer"
        if layer.mixer.attention is None or layer.cache_of_layer is not None:
            continue
        names = {letter: _scale_name(spec, f"{mixer}.{letter}", letter, tensors) for letter in "kv"}
        if all(names.values()):
            for letter, name in names.items():
                found[f"{mixer}.{letter}_scale"] = ModuleSource(str(name))
    return found


def _scale_name(
    spec: ModelSpec, module: str, letter: str, tensors: Mapping[str, TensorInfo]
) -> str | None:
    try:
        prefix = spec.source(module).prefix
    except KeyError:  # the mixer has no such linear, as in latent attention
        return None
    return next((name for name in _names(prefix, letter) if name in tensors), None)


def _names(prefix: str, letter: str) -> Iterator[str]:
    """Possible names, in the order of the producers: llm-compressor, ModelOpt, vLLM, AutoFP8."""
    parent = prefix.rpartition(".")[0]
    whole = (
        f"{parent}.{letter}_scale",
        f"{prefix}.{letter}_scale",
        f"{parent}.attn.{letter}_scale",
        f"{prefix}.output_scale",
        f"{parent}.kv_scale",
    )
    yield from whole
    # Names of a bare base model lack the first part.
    yield from (name.partition(".")[2] for name in whole)
