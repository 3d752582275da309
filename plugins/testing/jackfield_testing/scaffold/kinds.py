"""The kinds of plugins that have a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageKind:
    """The facts of a package of one kind, beside its files in `templates/<folder>`."""

    word: str  # the user's word: "attention-backend"
    group: str  # group of the entry point
    target: str  # target of the entry point in the package; $Name is the name as in classes
    summary: str  # summary of the package; $name is the plugin's name
    beyond_contracts: bool = False  # uses modules that may change with a minor release
    runs_models: bool = True  # useful only with a platform and models
    runtime: bool = False  # handles tensors: requires jackfield-torch, and a CPU for its tests
    requires: tuple[str, ...] = ()  # requirements beside the packages of Jackfield
    # Requirement of its tests: the kit compares the plugin with this one, on a CPU.
    reference: str = ""

    @property
    def folder(self) -> str:
        """Folder of the templates."""
        return self.word.replace("-", "_")

    @property
    def needs_cpu(self) -> bool:
        """True if its tests run on the CPU platform."""
        return self.runtime or bool(self.reference)

    @property
    def kit_needs_torch(self) -> bool:
        """True if its conformance kit computes with tensors."""
        return self.kind.startswith("jackfield_torch.") or bool(self.reference)

    @property
    def kind(self) -> str:
        """The group without its major."""
        return self.group.rpartition(".v")[0]


_ALL = (
    PackageKind(
        word="model",
        group="jackfield.models.v1",
        target="model:build",
        summary="The $Name model family for Jackfield.",
        reference="transformers>=5",
    ),
    PackageKind(
        word="scheduler",
        group="jackfield.schedulers.v1",
        target="policy:${Name}Policy",
        summary="The scheduling policy $name for Jackfield.",
    ),
    PackageKind(
        word="speculator",
        group="jackfield.speculators.v1",
        target="speculator:${Name}Speculator",
        summary="The speculator $name for Jackfield.",
    ),
    PackageKind(
        word="structured-output",
        group="jackfield.structured_output.v1",
        target="output:${Name}Output",
        summary="Structured output of the form $name for Jackfield.",
    ),
    PackageKind(
        word="weight-format",
        group="jackfield.weight_formats.v1",
        target="format:${Name}Format",
        summary="Reads checkpoints of the format $name into Jackfield.",
    ),
    PackageKind(
        word="model-source",
        group="jackfield.model_sources.v1",
        target="source:${Name}Source",
        summary="Finds models that are written as $name:NAME for Jackfield.",
    ),
    PackageKind(
        word="tokenizer",
        group="jackfield.tokenizers.v1",
        target="format:${Name}TokenizerFormat",
        summary="Reads $name tokenizers into Jackfield.",
    ),
    PackageKind(
        word="executor",
        group="jackfield.executors.v1",
        target="executor:${Name}ExecutorFactory",
        summary="The executor $name for Jackfield.",
        beyond_contracts=True,
    ),
    PackageKind(
        word="hooks",
        group="jackfield.hooks.v1",
        target="observer:${Name}Observer",
        summary="The observer $name for Jackfield.",
    ),
    PackageKind(
        word="command",
        group="jackfield.commands.v1",
        target="command:${Name}Command",
        summary="The command $name of the program jackfield.",
        runs_models=False,
    ),
    PackageKind(
        word="tool-parser",
        group="jackfield.tool_parsers.v1",
        target="parser:${Name}Parser",
        summary="Reads the calls of tools that $name models write, for Jackfield.",
    ),
    PackageKind(
        word="reasoning-parser",
        group="jackfield.reasoning_parsers.v1",
        target="parser:${Name}Parser",
        summary="Tells thoughts from answers of $name models, for Jackfield.",
    ),
    PackageKind(
        word="endpoint",
        group="jackfield.endpoints.v1",
        target="endpoint:${Name}Endpoint",
        summary="Serves /$name beside OpenAI's paths, for Jackfield.",
        requires=("starlette>=0.40",),
    ),
    PackageKind(
        word="platform",
        group="jackfield.platforms.v1",
        target="platform:${Name}Platform",
        summary="The platform $name for Jackfield.",
        beyond_contracts=True,
        runtime=True,
    ),
    PackageKind(
        word="attention-backend",
        group="jackfield_torch.attention_backends.v1",
        target="backend:${Name}Backend",
        summary="The attention backend $name for Jackfield.",
        runtime=True,
    ),
    PackageKind(
        word="logits-processor",
        group="jackfield_torch.logits_processors.v1",
        target="processor:${Name}Processor",
        summary="The logits processor $name for Jackfield.",
        runtime=True,
    ),
    PackageKind(
        word="quantization",
        group="jackfield_torch.quantization.v1",
        target="scheme:${Name}Scheme",
        summary="The quantization scheme $name for Jackfield.",
        runtime=True,
    ),
)
KINDS: Mapping[str, PackageKind] = {kind.word: kind for kind in _ALL}
