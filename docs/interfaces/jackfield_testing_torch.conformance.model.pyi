# Part of: jackfield_testing_torch 0.1
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import MODELS
from jackfield.interfaces.model import ModelBuilder
from jackfield.model_spec import ModelSpec
from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing_torch.conformance.known_model import ConfigMeaning
from jackfield_testing_torch.conformance.known_model import KnownModel
from jackfield_testing_torch.conformance.threads import OneThread
class ModelKit(OneThread, ConformanceKit):
    kind = MODELS
    configs: ClassVar[Mapping[str, Mapping[str, Any]]] = {'tiny': {}}
    transformers_class: ClassVar[str] = ''
    transformers_config: ClassVar[str] = ''
    settings: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def architecture(cls) -> str:
        ...

    @classmethod
    def reference(cls, changes: Mapping[str, Any]) -> KnownModel:
        ...

    @classmethod
    @cache
    def known(cls, case: str) -> KnownModel:
        ...

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        ...

    @pytest.fixture
    def builder(self) -> ModelBuilder:
        ...

    @pytest.fixture
    def config(self, case: str, builder: ModelBuilder) -> Mapping[str, Any]:
        ...

    @pytest.fixture
    def model(self, case: str) -> KnownModel:
        ...

    @pytest.fixture
    def meaning(self, model: KnownModel) -> ConfigMeaning:
        ...

    @pytest.fixture
    def spec(self, builder: ModelBuilder, model: KnownModel) -> ModelSpec:
        ...

    @pytest.fixture
    def folder(self, model: KnownModel, tmp_path: Path) -> Path:
        ...

    @pytest.fixture
    def text(self, model: KnownModel) -> list[int]:
        ...

    def test_a_spec_is_built_without_a_tensor_library(self, config: Mapping[str, Any]) -> None:
        ...

    def test_building_is_pure(self, builder: ModelBuilder, config: Mapping[str, Any]) -> None:
        ...

    def test_a_spec_cannot_be_changed(self, builder: ModelBuilder, config: Mapping[str, Any]) -> None:
        ...

    def test_end_tokens_are_those_of_the_config(self, builder: ModelBuilder, config: Mapping[str, Any]) -> None:
        ...

    @pytest.mark.parametrize('key', ['dtype', 'torch_dtype'])
    def test_the_dtype_is_that_of_the_config(self, builder: ModelBuilder, config: Mapping[str, Any], key: str) -> None:
        ...

    def test_the_length_is_that_of_the_config(self, builder: ModelBuilder, config: Mapping[str, Any]) -> None:
        ...

    @pytest.mark.parametrize('damage', ['missing', _NONSENSE])
    def test_a_broken_config_is_refused_in_words(self, builder: ModelBuilder, config: Mapping[str, Any], damage: str) -> None:
        ...

    def test_a_config_means_what_the_reference_saves(self, builder: ModelBuilder, model: KnownModel) -> None:
        ...

    def test_a_key_that_is_left_out_means_the_default_of_the_reference(self, builder: ModelBuilder, model: KnownModel, meaning: ConfigMeaning, text: list[int]) -> None:
        ...

    def test_a_key_that_is_not_read_changes_no_answer(self, builder: ModelBuilder, model: KnownModel, meaning: ConfigMeaning, text: list[int]) -> None:
        ...

    def test_every_tensor_is_used(self, spec: ModelSpec, model: KnownModel) -> None:
        ...

    def test_a_tensor_that_is_missing_is_an_error_that_names_it(self, spec: ModelSpec, model: KnownModel) -> None:
        ...

    def test_a_tensor_of_another_shape_is_an_error_that_names_it(self, spec: ModelSpec, model: KnownModel) -> None:
        ...

    def test_logits_equal_those_of_the_reference(self, spec: ModelSpec, model: KnownModel, text: list[int]) -> None:
        ...

    def test_chunks_of_a_prompt_give_what_the_whole_gives(self, spec: ModelSpec, model: KnownModel, text: list[int]) -> None:
        ...

    def test_an_engine_chooses_the_tokens_of_the_reference(self, spec: ModelSpec, model: KnownModel, folder: Path, text: list[int]) -> None:
        ...

    def test_rows_may_come_in_any_order(self, spec: ModelSpec, folder: Path, text: list[int]) -> None:
        ...

    def test_a_prefix_that_is_used_again_changes_nothing(self, spec: ModelSpec, folder: Path, text: list[int]) -> None:
        ...
