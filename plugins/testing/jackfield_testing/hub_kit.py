"""The conformance kit of the model source `hub`, with a hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from jackfield_testing.conformance.model_source import ModelSourceKit, SampleModel
from jackfield_testing.hub import OF_V2, hub_server

_NAMES = ("config.json", "model.safetensors", "tokenizer.json")
_KEEPS = "the hub's library keeps what came, to go on from there"
_CONSTANTS = "huggingface_hub.constants"


class HubKit(ModelSourceKit):
    """The kit of model sources, with the hub's library pointed to the server."""

    name = "hub"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "test_a_broken_fetch_leaves_nothing_behind": _KEEPS,
        "test_a_fetch_that_is_interrupted_leaves_nothing_behind": _KEEPS,
    }

    @pytest.fixture
    def sample(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SampleModel]:
        """A model that can be fetched, and one whose fetch breaks off."""
        with hub_server() as hub:
            address = f"http://127.0.0.1:{hub.server_port}"
            template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            monkeypatch.setattr(f"{_CONSTANTS}.ENDPOINT", address)
            monkeypatch.setattr(f"{_CONSTANTS}.HUGGINGFACE_CO_URL_TEMPLATE", template)
            monkeypatch.setattr(f"{_CONSTANTS}.HF_HUB_CACHE", str(tmp_path / "hub"))
            monkeypatch.setenv("HF_ENDPOINT", address)  # for other processes
            monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
            # For the library's waits between retries.
            monkeypatch.setattr("time.sleep", lambda seconds: None)
            files = {name: hub.files[name] for name in _NAMES}
            yield SampleModel(
                text="acme/tiny",
                files=files,
                missing="acme/nothing",
                broken="acme/cut",
                cache=tmp_path / "hub",
                slow="acme/slow",
                revisions={"v2": {**files, **OF_V2}},
            )
