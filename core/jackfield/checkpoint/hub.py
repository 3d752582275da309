"""Model references that are names on a model hub: ORG/NAME, fetched by `huggingface_hub`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import ModelNotFound
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import KnownModel, ModelFiles, ModelReference, ModelSource

_NAME = re.compile(
    r"(?:https?://)?(?:(?:www\.)?(?:huggingface\.co|hf\.co)/)?"
    r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)"
    r"(?::(?P<quant>[\w.-]+)|/(?:blob|resolve|tree)/[^/]+(?:/(?P<file>[^?]+))?)?/?(?:\?.*)?"
)
# Files that describe a model, fetched with weights of one format. Folders are left out (other formats, the authors' own
# layout), except additional_chat_templates and the modules of Sentence Transformers (1_Pooling, 2_Dense).
_DESCRIBES = ("*.json", "*.jinja", "tokenizer*", "*.txt")
_WANTED = (*_DESCRIBES, "*.safetensors")
_UNWANTED = ("[!a0-9]*/*", "[0-9][!_]*/*", "a[!d]*/*", "ad[!d]*/*", "consolidated*")
_GGUF = ".gguf"
_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)")


class HubSource(ModelSource):
    """Downloads missing files into the hub library's own cache ($HF_HOME), which other programs share.

    The hub's address is $HF_ENDPOINT. A token for gated models is $HF_TOKEN or the one of `hf auth login`. Without a
    network, or with $HF_HUB_OFFLINE=1, only the cache is used.
    """

    def __init__(self, endpoint: str | None = None, cache_folder: Path | None = None) -> None:
        self._endpoint = endpoint
        self._cache_folder = cache_folder

    def check(self, need: ModelReference, facts: Facts) -> tuple[Reason, ...]:
        """Refuse references that are not of the form ORG/NAME."""
        if _NAME.fullmatch(need.text):
            return ()
        text = f"{need.text!r} is no name on a hub"
        return (Reason("no_hub_name", text, "write ORG/NAME, or ORG/NAME:Q4_K_M for a GGUF file"),)

    def known(self, cache_folder: Path) -> tuple[KnownModel, ...]:
        """The models in the hub library's cache."""
        from huggingface_hub import scan_cache_dir  # noqa: PLC0415  # heavy
        from huggingface_hub.errors import CacheNotFound  # noqa: PLC0415  # heavy

        try:
            repos = scan_cache_dir(self._cache_folder).repos
        except (CacheNotFound, OSError, ValueError):
            return ()
        return tuple(
            KnownModel(name=repo.repo_id, path=repo.repo_path, num_bytes=repo.size_on_disk)
            for repo in sorted(repos, key=lambda repo: repo.repo_id)
            if repo.repo_type == "model"
        )

    def describe(self, reference: ModelReference) -> ModelFiles | None:
        """The small files of the snapshot. None for GGUF files, which hold everything."""
        name, word = _name_and_word(reference)
        if word:
            return None
        with _told(name, reference):
            folder = self._fetch(name, reference, _DESCRIBES, _UNWANTED)
        files = ModelFiles(reference=name, path=folder)
        return files if files.find("config.json") else None

    def resolve(self, reference: ModelReference) -> ModelFiles:
        """Download the snapshot of the revision, or find it in the cache. Of GGUF files one is fetched, with all its
        parts.
        """
        name, word = _name_and_word(reference)
        with _told(name, reference):
            if word:
                return ModelFiles(reference=reference.text, path=self._gguf(name, word, reference))
            folder = self._fetch(name, reference, _WANTED, _UNWANTED)
            if not any(folder.glob("*.safetensors")) and (
                found := self._only_gguf(name, reference)
            ):
                return ModelFiles(reference=reference.text, path=found)
        return ModelFiles(reference=name, path=folder)

    def _fetch(
        self,
        name: str,
        reference: ModelReference,
        wanted: Sequence[str],
        unwanted: Sequence[str] = (),
    ) -> Path:
        from huggingface_hub import snapshot_download  # noqa: PLC0415  # heavy

        folder = snapshot_download(
            name,
            revision=reference.revision,
            endpoint=self._endpoint,
            cache_dir=self._cache_folder,
            allow_patterns=list(wanted),
            ignore_patterns=list(unwanted),
        )
        return Path(folder)

    def _gguf(self, name: str, word: str, reference: ModelReference) -> Path:
        """The file that `word` means: a quantization such as Q4_K_M, or a path in the repository. Raises ModelNotFound."""
        spellings = {word, word.lower(), word.upper()} - {""}
        wanted = [word] if word.lower().endswith(_GGUF) else [
            f"{start}{spelling}{end}"
            for spelling in sorted(spellings)
            for start in ("*[-._/]", "")
            for end in (_GGUF, "-*-of-*.gguf", "/*.gguf")
        ]  # fmt: skip
        folder = self._fetch(name, reference, wanted, ("*mmproj*",))
        relative = (path.relative_to(folder).as_posix() for path in folder.rglob("*" + _GGUF))
        found = sorted(path for path in relative if any(fnmatchcase(path, w) for w in wanted))
        if not found:
            there = ", ".join(self._ggufs(name, reference)) or "no GGUF file"
            raise ModelNotFound(
                f"{name!r} has no GGUF file {word!r}; it has {there}. Name one of them"
            )
        return folder / found[0]

    def _only_gguf(self, name: str, reference: ModelReference) -> Path | None:
        """The only GGUF file of a repository without other weights. Raises ModelNotFound if there are several."""
        files = self._ggufs(name, reference)
        if not files:
            return None
        if len({_PART.sub("", file) for file in files}) > 1:
            raise ModelNotFound(
                f"{name!r} has several GGUF files: {', '.join(files)}. Say which, e.g. {name}:Q4_K_M, or {name}/blob/main/FILE"
            )
        return self._fetch(name, reference, files) / files[0]

    def _ggufs(self, name: str, reference: ModelReference) -> list[str]:
        from huggingface_hub import HfApi  # noqa: PLC0415  # heavy

        try:
            files = HfApi(endpoint=self._endpoint).list_repo_files(
                name, revision=reference.revision
            )
        except Exception:  # there is no network; missing files are reported later
            return []
        return sorted(f for f in files if f.endswith(_GGUF) and "mmproj" not in f)


def _name_and_word(reference: ModelReference) -> tuple[str, str | None]:
    """ORG/NAME, and the word for a GGUF file in it."""
    parts = _NAME.fullmatch(reference.text)
    assert parts is not None, "check() came first"
    return parts["name"], parts["quant"] or parts["file"]


@contextmanager
def _told(name: str, reference: ModelReference) -> Iterator[None]:
    """Turns errors of the hub's library into ModelNotFound."""
    from huggingface_hub import errors  # noqa: PLC0415  # heavy

    what = f"{name!r}" + (f" at revision {reference.revision!r}" if reference.revision else "")
    try:
        yield
    except ModelNotFound:
        raise
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
    except Exception as error:  # the class of a network error depends on the library's version
        raise ModelNotFound(
            f"cannot get the model {what}: the hub gives no answer that helps and the cache does "
            f"not hold it whole ({' '.join(str(error).split())}). Check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or "
            "give a folder with the files"
        ) from error
