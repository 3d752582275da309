"""The core's weight formats, tokenizers and model sources pass the kits that strangers' plugins pass."""

from typing import ClassVar

import pytest

from jackfield.testing.conformance.model_source import ModelSourceKit, SampleModel
from jackfield.testing.conformance.tokenizer import TokenizerKit
from jackfield.testing.conformance.weight_format import WeightFormatKit


class TestSafetensors(WeightFormatKit):
    name = "safetensors"


class TestDummy(WeightFormatKit):
    name = "dummy"


class TestHfTokenizer(TokenizerKit):
    name = "hf"


class TestLocal(ModelSourceKit):
    name = "local"


class TestHub(ModelSourceKit):
    name = "hub"
    expected_failures: ClassVar = {
        "test_a_broken_fetch_leaves_nothing_behind": "the hub's library keeps what came, to go on from there"
    }

    @pytest.fixture
    def sample(self, hub, tmp_path, monkeypatch):
        address, constants = f"http://127.0.0.1:{hub.server_port}", "huggingface_hub.constants"
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(f"{constants}.ENDPOINT", address)
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its retries
        names = ("config.json", "model.safetensors", "tokenizer.json")
        return SampleModel(
            text="acme/tiny",
            files={name: hub.files[name] for name in names},
            missing="acme/nothing",
            broken="acme/cut",
            cache=tmp_path / "hub",
        )
