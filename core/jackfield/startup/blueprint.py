"""The blueprint of an engine: everything decided before anything heavy is imported or loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig, LoadedConfig, Source
from jackfield.decision import Decision
from jackfield.discovery.kinds import (
    EXECUTORS,
    HOOKS,
    PLATFORMS,
    SCHEDULERS,
    TOKENIZERS,
    WEIGHT_FORMATS,
)
from jackfield.discovery.loading import calling, describe, returned
from jackfield.discovery.lock import LockedModel, locked_model
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ModelError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.executor import Executor, ExecutorFactory
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield.startup.draft import Draft, make_draft, rank_shape
from jackfield.startup.model_choice import ModelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What an engine is made of. The config is the effective one: nothing in it says "auto" any more."""

    loaded: LoadedConfig
    registry: PluginRegistry
    model: ModelChoice
    activation: ActivationPlan
    facts: Facts  # of the platform
    idle_rules: tuple[str, ...] = ()  # of [select], which decided nothing, a sentence each

    @property
    def config(self) -> EngineConfig:
        """The effective settings."""
        return self.loaded.config

    @property
    def provenance(self) -> Mapping[str, Source]:
        """Where each setting came from, by "section.key"."""
        return self.loaded.provenance

    @property
    def files(self) -> ModelFiles:
        """The model on this machine."""
        return self.model.files

    @property
    def spec(self) -> ModelSpec:
        """The model as data."""
        return self.model.spec

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every selection with its reasons, in the order in which they were made."""
        return self.activation.decisions

    @property
    def has_tokenizer(self) -> bool:
        """False where the model's files hold none; prompts are token ids then."""
        return not self.model.missing_tokenizer

    @property
    def platform(self) -> Platform:
        """The card of the platform."""
        card: Platform = self._card(PLATFORMS)
        return card

    @property
    def platform_in_words(self) -> str:
        """For messages."""
        return describe(self.activation.selected(PLATFORMS))

    @property
    def hooks(self) -> tuple[PluginRef, ...]:
        """The observers to register; `registry.card(ref)` makes one."""
        return tuple(s.plugin for s in self.activation.selections if s.plugin.kind == HOOKS)

    def context(self) -> WorkerContext:
        """What workers are made from; the executor fills in rank, stage, local rank and rendezvous."""
        shape = rank_shape(self.plugin(PLATFORMS), self.platform, self.facts, self.config)
        return WorkerContext(
            activation=self.activation,
            config=self.config,
            spec=self.spec,
            files=self.files,
            num_ranks=shape.processes,
            num_stages=self.config.executor.pipeline_parallel,
            devices=shape.devices,
        )

    def locked_in(self, folder: Path) -> LockedModel:
        """The selections for the model, as a lock in `folder` holds them."""
        return locked_model(self.config.model, self.files, self.activation, folder)

    def make_executor(self) -> Executor:
        """The executor, not started. Raises PluginLoadError."""
        factory: ExecutorFactory = self._card(EXECUTORS)
        with calling(self.plugin(EXECUTORS), "create"):
            executor: Executor = returned(factory.create(self.context()), Executor, "create")
            if not isinstance(executor.depth, int) or executor.depth < 1:
                raise TypeError(f"depth must be a number of steps from 1, got {executor.depth!r}")
        return executor

    def make_policy(self) -> SchedulingPolicy:
        """The scheduling policy."""
        policy: SchedulingPolicy = self._card(SCHEDULERS)
        return policy

    def open_tokenizer(self) -> Tokenizer:
        """The tokenizer. Raises ModelError where there is none."""
        if not self.has_tokenizer:
            files = self.model.tokenizer_files
            raise ModelError(
                f"no tokenizer was found in {files.path}: {self.model.missing_tokenizer}\n"
                "Give prompts as token ids, or name another model's tokenizer with model.tokenizer"
            )
        tokenizer_format: TokenizerFormat = self._card(TOKENIZERS)
        with calling(self.plugin(TOKENIZERS), "open a tokenizer with"):
            opened = returned(tokenizer_format.open(self.model.tokenizer_files), Tokenizer, "open")
            tokenizer: Tokenizer = opened
            if not all(isinstance(token_id, int) for token_id in tokenizer.end_token_ids):
                raise TypeError(f"end_token_ids must be numbers, got {tokenizer.end_token_ids!r}")
        return tokenizer

    def open_checkpoint(self) -> Checkpoint:
        """The weights' names and shapes; the caller closes it."""
        weight_format: WeightFormat = self._card(WEIGHT_FORMATS)
        with calling(self.plugin(WEIGHT_FORMATS), "open a checkpoint with"):
            checkpoint: Checkpoint = returned(weight_format.open(self.files), Checkpoint, "open")
        return checkpoint

    def plugin(self, kind: str) -> PluginRef:
        """The plugin of a kind that an engine has one of. Raises PluginNotFound."""
        return self.activation.selected(kind)

    def _card(self, kind: str) -> Any:
        return self.registry.card(self.plugin(kind))


def make_blueprint(
    loaded: LoadedConfig, registry: PluginRegistry | None = None, *, thorough: bool = False
) -> Blueprint:
    """Decide everything. `thorough` also asks the candidates that come after the chosen one (for `explain`).

    Raises ConfigError, PluginError or ModelError, with the decisions made so far; a plugin that the user named, or
    that is required, must load. With a lock (plugins.lock) raises PluginDrift where anything is not as locked.
    """
    blueprint = blueprint_of(make_draft(loaded, registry, thorough=thorough))
    assert blueprint is not None, "a draft that does not keep going is complete or raises"
    blueprint.registry.warn_of_harm()
    return blueprint


def blueprint_of(draft: Draft) -> Blueprint | None:
    """The blueprint that a draft came to, None where something stands in the way."""
    model = draft.model.choice()
    if model is None or draft.problems:
        return None
    return Blueprint(
        loaded=draft.loaded,
        registry=draft.registry,
        model=model,
        activation=draft.activation,
        facts=draft.facts,
        idle_rules=draft.idle_rules,
    )
