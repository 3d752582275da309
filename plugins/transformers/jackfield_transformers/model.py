"""From the config of an architecture in Transformers to a spec. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.dtypes import parse_dtype
from jackfield.errors import UnsupportedModelError
from jackfield.foreign import ForeignCode
from jackfield.interfaces.model import ConfigReader, takes_any
from jackfield.model_spec import Attention, Layer, ModelSpec, ModuleSource
from jackfield_transformers.facts import find_facts

# Names that producers use for the list of modules that stay plain.
_EXCLUDED = ("modules_to_not_convert", "ignored_layers", "llm_int8_skip_modules", "ignore")


@takes_any
def any_decoder(config: ConfigReader) -> ModelSpec:
    """A spec whose layers say what Transformers' code asks of attention. Raises UnsupportedModelError."""
    values = {key: config.values[key] for key in config.values}  # reads all keys
    facts = find_facts(config.architecture, values)
    _refuse_quantized_experts(values, facts.get("stacked", []))
    return ModelSpec(
        architecture=config.architecture,
        vocab_size=facts["vocab_size"],
        hidden_size=facts["hidden_size"],
        max_length=facts["max_length"],
        layers=tuple(_layer(call) for call in facts["calls"]),
        final_norm=None,
        modules={name: ModuleSource(path) for name, path in facts["linears"].items()},
        dtype=parse_dtype(facts["dtype"]),
        end_token_ids=tuple(facts["end_token_ids"]),
        tied_head=facts["tied_head"],
        foreign=ForeignCode(
            runtime="jackfield_torch",
            target="jackfield_transformers.foreign:TransformersModel",
            linears=tuple(facts["linears"]),
            facts=facts["config"],
            num_parameters=facts["num_parameters"],
            note=f"the code of Transformers {facts['version']} runs it; a spec of it would be faster",
        ),
    )


def _refuse_quantized_experts(values: Mapping[str, Any], stacked: list[str]) -> None:
    """Raise for experts in one quantized tensor: Transformers' code multiplies them, and needs floats."""
    table = values.get("quantization_config")
    if not isinstance(table, Mapping) or not stacked:
        return
    plain = [word for key in _EXCLUDED for word in table.get(key) or ()]
    module = stacked[0].rpartition(".")[0]
    if any(isinstance(word, str) and word.removeprefix("re:") in module for word in plain):
        return
    raise UnsupportedModelError(
        f"its experts ({module}) are multiplied by Transformers' code, which reads no weights of quantization method "
        f"{table.get('quant_method')!r}. Take a checkpoint that leaves experts plain, or write a spec of it"
    )


def _layer(call: Mapping[str, Any]) -> Layer:
    mixer = Attention(
        num_heads=call["num_heads"],
        num_kv_heads=call["num_kv_heads"],
        head_size=call["head_size"],
        scale=call["scale"],
        window=call["window"],
        soft_cap=call["soft_cap"],
        sinks=call["sinks"],
    )
    return Layer(mixer=mixer, feed_forward=None, mixer_norm=None, feed_forward_norm=None)
