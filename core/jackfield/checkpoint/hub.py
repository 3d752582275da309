"""Model references that are names on a model hub: ORG/NAME, fetched by `huggingface_hub`."""

from __future__ import annotations

import re
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import ModelNotFound
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles, ModelReference, ModelSource

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Weights in one format, and what describes them. "*/*" leaves out folders: other formats, the authors' own layout.
_WANTED = ("*.json", "*.safetensors", "*.jinja", "tokenizer*", "*.txt")
_UNWANTED = ("*/*", "consolidated*")


class HubSource(ModelSource):
    """Downloads what is missing into the hub library's own cache ($HF_HOME), which other programs share.

    The hub's address is $HF_ENDPOINT; a token for gated models is $HF_TOKEN or `hf auth login`. Without a network, or
    with $HF_HUB_OFFLINE=1, what the cache holds is used.
    """

    def __init__(self, endpoint: str | None = None, cache_folder: Path | None = None) -> None:
        self._endpoint = endpoint
        self._cache_folder = cache_folder

    def check(self, need: ModelReference, facts: Facts) -> tuple[Reason, ...]:
        """Refuse words that are no ORG/NAME."""
        if _NAME.fullmatch(need.text):
            return ()
        text = f"{need.text!r} is no name on a hub"
        return (Reason("no_hub_name", text, "write ORG/NAME"),)

    def resolve(self, reference: ModelReference) -> ModelFiles:
        """Download the snapshot of the revision, or find it in the cache."""
        from huggingface_hub import errors, snapshot_download  # noqa: PLC0415  # heavy

        name = reference.text
        what = f"{name!r}" + (f" at revision {reference.revision!r}" if reference.revision else "")
        try:
            folder = snapshot_download(
                name,
                revision=reference.revision,
                endpoint=self._endpoint,
                cache_dir=self._cache_folder,
                allow_patterns=list(_WANTED),
                ignore_patterns=list(_UNWANTED),
            )
        except errors.GatedRepoError as error:
            raise ModelNotFound(
                f"the model {what} is gated: its owner must grant access, and the hub must know "
                "you. Ask for access on its page, then set HF_TOKEN or run: hf auth login"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ModelNotFound(
                f"the hub has the model {name!r}, but not the revision {reference.revision!r}; a "
                "branch, a tag or a commit is allowed. Check model.revision"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ModelNotFound(
                f"the hub has no model {what}, or only for those it knows; names look like "
                "ORG/NAME. Check the spelling, or set HF_TOKEN for a private model"
            ) from error
        except Exception as error:  # what the network raises depends on the library's version
            raise ModelNotFound(
                f"cannot get the model {what}: the hub gives no answer that helps and the cache does "
                f"not hold it whole ({error}). Check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or "
                "give a folder with the files"
            ) from error
        return ModelFiles(reference=name, path=Path(folder))
