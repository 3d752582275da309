"""The model source that takes a reference, and what it fetches before the weights."""

from __future__ import annotations

from jackfield.config.schema import EngineConfig
from jackfield.discovery.kinds import MODEL_SOURCES
from jackfield.discovery.registry import PluginRegistry
from jackfield.environment import cache_folder
from jackfield.interfaces.model_source import ModelFiles, ModelReference, ModelSource

_LAST = "hub"  # it accepts nearly any word as a name


def source_of(registry: PluginRegistry, need: ModelReference) -> tuple[str, ModelSource] | None:
    """Name and card of the first source that takes `need`: `local`, then others by name, then `hub`. None if none does."""
    refs = sorted(registry.refs(MODEL_SOURCES), key=lambda r: (r.name == _LAST, r.name != "local", r.name))  # fmt: skip
    for ref in refs:
        source: ModelSource = registry.card(ref)
        if not source.check(need, registry.facts(ref)):
            return ref.name, source
    return None


def tokenizer_description(config: EngineConfig) -> ModelFiles | None:
    """The small files with the model's tokenizer, fetched without weights; None if the model is one file.

    Raises ModelNotFound.
    """
    model = config.model
    need = ModelReference(
        text=model.tokenizer or model.reference,
        revision=None if model.tokenizer else model.revision,
        cache_folder=cache_folder(),
    )
    found = source_of(PluginRegistry.scan(config.plugins), need)
    return found[1].describe(need) if found else None
