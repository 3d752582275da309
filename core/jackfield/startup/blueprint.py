"""The blueprint of an engine: all decisions, made before anything heavy is imported or loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig, LoadedConfig, Source
from jackfield.decision import Decision, Reason
from jackfield.discovery.kinds import (
    EXECUTORS,
    HOOKS,
    PLATFORMS,
    SCHEDULERS,
    SPECULATORS,
    STRUCTURED_OUTPUT,
    TOKENIZERS,
    WEIGHT_FORMATS,
)
from jackfield.discovery.loading import calling, describe, returned
from jackfield.discovery.lock import LockedModel, locked_model
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.stdout import prints_to_stderr
from jackfield.errors import JackfieldError, ModelError
from jackfield.interfaces.adapters import AdapterFiles, AdapterFormat, AdapterNeed
from jackfield.interfaces.card import Facts
from jackfield.interfaces.executor import Executor, ExecutorFactory
from jackfield.interfaces.logits_processor import LogitsProcessor
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.interfaces.speculator import Drafter, Speculator
from jackfield.interfaces.structured_output import (
    GrammarCompiler,
    StructuredOutput,
    Vocabulary,
)
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield.scheduler.drafting import Drafting
from jackfield.startup.choices import (
    ENGINE,
    NEEDED,
    check_selected,
    choose_core,
    choose_platform,
    choose_rest,
    rank_shape,
    read_lock_of,
    settled,
)
from jackfield.startup.chooser import Chooser, Problem
from jackfield.startup.model_choice import ModelChoice, choose_model

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """The decided parts of an engine; with `problems`, those parts that could be decided.

    The config is the effective one: no value is "auto" any more.
    """

    loaded: LoadedConfig
    registry: PluginRegistry
    model: ModelChoice
    activation: ActivationPlan
    facts: Facts  # facts of the platform; empty if no platform was chosen
    idle_rules: tuple[str, ...] = ()  # rules of [select] that decided nothing, a sentence for each
    problems: tuple[Problem, ...] = ()  # problems that prevent an engine

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
        return _decided(self.model.files)

    @property
    def tokenizer_files(self) -> ModelFiles:
        """The files of the tokenizer: those of the model, unless model.tokenizer names others."""
        return _decided(self.model.tokenizer_files)

    @property
    def spec(self) -> ModelSpec:
        """The model as data."""
        return _decided(self.model.spec)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every selection with its reasons, in the order of the decisions."""
        return self.activation.decisions

    @property
    def has_tokenizer(self) -> bool:
        """False if the model's files hold no tokenizer; then prompts are token ids."""
        return not self.model.missing_tokenizer

    @property
    def platform(self) -> Platform:
        """The card of the platform."""
        card: Platform = self._card(PLATFORMS)
        return card

    @property
    def platform_in_words(self) -> str:
        """Name and distribution of the platform, for messages."""
        return describe(self.activation.selected(PLATFORMS))

    @property
    def hooks(self) -> tuple[PluginRef, ...]:
        """The observers to register; `registry.card(ref)` makes one."""
        return tuple(s.plugin for s in self.activation.selections if s.plugin.kind == HOOKS)

    def context(self) -> WorkerContext:
        """The context from which workers are made. The executor fills in rank, stage, local rank and rendezvous."""
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
        """Make the executor, not started. Raises PluginLoadError."""
        factory: ExecutorFactory = self._card(EXECUTORS)
        with calling(self.plugin(EXECUTORS), "create"):
            executor: Executor = returned(factory.create(self.context()), Executor, "create")
            if not isinstance(executor.depth, int) or executor.depth < 1:
                raise TypeError(f"depth must be a number of steps from 1, got {executor.depth!r}")
        return executor

    def make_policy(self) -> SchedulingPolicy:
        """Make the scheduling policy."""
        policy: SchedulingPolicy = self._card(SCHEDULERS)
        return policy

    def make_drafting(self) -> Drafting | None:
        """Make the object that asks for drafts; None without speculation. Raises PluginLoadError."""
        num_tokens = self.config.speculation.num_tokens
        if not num_tokens:
            return None
        plugin = self.plugin(SPECULATORS)
        card: Speculator = self._card(SPECULATORS)
        with calling(plugin, "make drafters with"):
            make_drafter = card.create(self.config)
            returned(make_drafter(), Drafter, "what create() returned")
        return Drafting(make_drafter, num_tokens, self.spec.vocab_size, describe(plugin))

    @property
    def grammar_makers(self) -> dict[str, tuple[str, Callable[[Vocabulary], GrammarCompiler]]]:
        """For each form of structured output: a description of its plugin, and the function that makes its compiler."""
        return {
            selection.subject: (
                describe(selection.plugin),
                partial(_make_compiler, self.registry.card(selection.plugin), self.config),
            )
            for selection in self.activation.selections
            if selection.plugin.kind == STRUCTURED_OUTPUT
        }

    @property
    def logits_processors(self) -> dict[str, LogitsProcessor]:
        """The cards of the logits processors that requests may name."""
        kind = self.platform.logits_processors
        return {
            selection.plugin.name: self.registry.card(selection.plugin)
            for selection in self.activation.selections
            if selection.plugin.kind == kind
        }

    @property
    def adapter_check(self) -> Callable[[tuple[AdapterFiles, ...]], tuple[Reason, ...]] | None:
        """Tells why adapters do not fit this engine; None if it takes none."""
        kind = self.platform.adapters
        chosen = [s.plugin for s in self.activation.selections if kind and s.plugin.kind == kind]
        if not chosen:
            return None
        card: AdapterFormat = self.registry.card(chosen[0])
        modules = self.platform.adapted_modules(self.spec)

        def check(adapters: tuple[AdapterFiles, ...]) -> tuple[Reason, ...]:
            need = AdapterNeed(
                model=self.spec, modules=modules, adapters=adapters, config=self.config
            )
            return card.check(need, {})

        return check

    def open_tokenizer(self) -> Tokenizer:
        """Open the tokenizer. Raises ModelError if there is none."""
        files = self.tokenizer_files
        if not self.has_tokenizer:
            raise ModelError(
                f"no tokenizer was found in {files.path}: {self.model.missing_tokenizer}\n"
                "Give prompts as token ids, or name another model's tokenizer with model.tokenizer"
            )
        tokenizer_format: TokenizerFormat = self._card(TOKENIZERS)
        with calling(self.plugin(TOKENIZERS), "open a tokenizer with"):
            opened = returned(tokenizer_format.open(files), Tokenizer, "open")
            tokenizer: Tokenizer = opened
            if not all(isinstance(token_id, int) for token_id in tokenizer.end_token_ids):
                raise TypeError(f"end_token_ids must be numbers, got {tokenizer.end_token_ids!r}")
        return tokenizer

    def open_checkpoint(self) -> Checkpoint:
        """Open the checkpoint and read its headers; the caller closes it."""
        weight_format: WeightFormat = self._card(WEIGHT_FORMATS)
        with calling(self.plugin(WEIGHT_FORMATS), "open a checkpoint with"):
            checkpoint: Checkpoint = returned(weight_format.open(self.files), Checkpoint, "open")
        return checkpoint

    def plugin(self, kind: str) -> PluginRef:
        """The plugin of a kind of which an engine has one. Raises PluginNotFound."""
        return self.activation.selected(kind)

    def _card(self, kind: str) -> Any:
        return self.registry.card(self.plugin(kind))


def _make_compiler(
    card: StructuredOutput, config: EngineConfig, vocabulary: Vocabulary
) -> GrammarCompiler:
    compiler: GrammarCompiler = returned(card.create(vocabulary, config), GrammarCompiler, "create")
    return compiler


def _decided(part: T | None) -> T:
    assert part is not None, "a blueprint without problems has all its parts"
    return part


def make_blueprint(
    loaded: LoadedConfig,
    registry: PluginRegistry | None = None,
    *,
    thorough: bool = False,
    keeps_going: bool = False,
) -> Blueprint:
    """Decide everything. If `thorough`, candidates after the chosen one are asked too (for `explain`).

    Raises ConfigError, PluginError or ModelError, with the decisions made so far; if it `keeps_going`, it lists
    problems instead. A plugin that the user named, or that is required, must load. With a lock (plugins.lock) it
    raises PluginDrift if anything differs from the lock.
    """
    registry = registry or PluginRegistry.scan(loaded.config.plugins)
    chooser = Chooser(registry, loaded, thorough=thorough, keeps_going=keeps_going)
    try:
        with prints_to_stderr():
            found = _decide(chooser, loaded)
    except JackfieldError as error:
        error.decisions = chooser.decisions
        raise
    finally:
        registry.end_probes()
    if not keeps_going:
        for failure in registry.harmful:
            logger.warning("installed but refused: %s", failure.in_one_line())
    return found


def _decide(chooser: Chooser, loaded: LoadedConfig) -> Blueprint:
    registry, config = chooser.registry, loaded.config
    lock = chooser.attempt(lambda: read_lock_of(config, registry))
    chooser.attempt(lambda: registry.check_left(*NEEDED))
    for idle in (problem for problem in registry.problems if problem.code == "deny"):
        logger.warning("%s", idle)
    chooser.attempt(lambda: registry.check_required(config.plugins.required))
    model = choose_model(chooser, config)
    plugin: PluginRef | None = None
    facts: Facts = {}
    if (spec := model.spec) is None:
        chooser.leave_open(PLATFORMS, ENGINE, "the model")
    else:
        plugin = chooser.attempt(lambda: choose_platform(chooser, spec, config))
        if plugin is not None:
            facts = registry.facts(plugin)
            loaded = settled(chooser, plugin, spec, loaded)
    choose_core(chooser, plugin, facts, loaded.config)
    if spec is not None and plugin is not None:
        choose_rest(chooser, plugin, spec, loaded)
    chooser.attempt(chooser.check_hooks)
    activation = chooser.activation()
    if lock and model.files and not chooser.problems:
        locked = partial(locked_model, config.model, model.files, activation)
        chooser.attempt(lambda: check_selected(lock, locked, config))
    return Blueprint(
        loaded=loaded,
        registry=registry,
        model=model,
        activation=activation,
        facts=facts,
        # With problems, not all rules were asked.
        idle_rules=() if chooser.problems else chooser.idle_rules(),
        problems=tuple(chooser.problems),
    )
