"""The kit of models: a family's spec gives the logits of a reference, and its checkpoints are read whole."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.client import LLM
from jackfield.discovery.kinds import MODELS
from jackfield.errors import JackfieldError
from jackfield.features import features_in_use
from jackfield.interfaces.model import ConfigReader, ModelBuilder
from jackfield.model_spec import ModelSpec
from jackfield.request import RequestOutput
from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing.conformance.report import NOT_SHOWN
from jackfield_testing_torch.conformance.altered_configs import with_keys_left_out, with_nonsense
from jackfield_testing_torch.conformance.config_checks import (
    check_left_out,
    check_same,
    check_unread,
)
from jackfield_testing_torch.conformance.frozen import changeable_parts, imports_of_build
from jackfield_testing_torch.conformance.known_model import (
    LENGTH,
    TINY,
    ConfigMeaning,
    KnownModel,
    MemoryCheckpoint,
    random_text,
    transformers_model,
    write_known_model,
)
from jackfield_testing_torch.conformance.model_runs import answer, build, decode, open_engine
from jackfield_testing_torch.conformance.threads import OneThread
from jackfield_testing_torch.conformance.tolerances import LOG_PROBABILITIES, LOGITS
from jackfield_torch.model_features import MODEL_FEATURES

_CHUNKS = (17, 1, 1, 1, 20, 8)  # parts of LENGTH
_NEW_TOKENS = 8
_LENGTHS = (LENGTH - _NEW_TOKENS, 30, 9)  # lengths of prompts
_NONSENSE = "nonsense"
_DAMAGES = {"missing": with_keys_left_out, _NONSENSE: with_nonsense}
_LENGTH_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


class ModelKit(OneThread, ConformanceKit):
    """A third party's test file names the architecture, and gives tiny configs of everything that the family can be.

    The reference is the class of that name in Transformers, or the result of `reference`.
    """

    kind = MODELS
    # For each name of a config, its differences from TINY. Every feature that a config may ask for needs at least one.
    configs: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}}
    transformers_class: ClassVar[str] = ""  # "": the class with the architecture's name
    transformers_config: ClassVar[str] = ""  # "": the config class of the model's class
    settings: ClassVar[Mapping[str, Any]] = {}  # settings of the engine, such as "select.platform"

    @classmethod
    def architecture(cls) -> str:
        """The name in configs."""
        return cls.name.partition("@")[0]

    @classmethod
    def reference(cls, changes: Mapping[str, Any]) -> KnownModel:
        """The model of a tiny config, and its right answers. Override it for a family that Transformers does not have."""
        name = cls.transformers_class or cls.architecture()
        return transformers_model(name, changes, cls.transformers_config)

    @classmethod
    @cache
    def known(cls, case: str) -> KnownModel:
        """The result of `reference` for one of `configs`, made once."""
        known = cls.reference(cls.configs[case])
        name = {"architectures": [cls.architecture()]}
        written = {**known.written, **name} if known.written else {}
        return replace(known, config={**known.config, **name}, written=written)

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Make one test for each of `configs`."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", cls.configs)

    @pytest.fixture
    def builder(self) -> ModelBuilder:
        """The function under test, found as an engine finds it."""
        found: ModelBuilder = self.load()
        return found

    @pytest.fixture
    def config(self, case: str, builder: ModelBuilder) -> Mapping[str, Any]:
        """The content of config.json. Without a reference it consists of TINY and the changes."""
        return self._config(case, builder)

    @pytest.fixture
    def model(self, case: str) -> KnownModel:
        """The tiny model and its answers."""
        return self.known(case)

    @pytest.fixture
    def meaning(self, model: KnownModel) -> ConfigMeaning:
        """The meaning of other configs by the reference. Skips the test if the reference does not give it."""
        if model.meaning is None:
            pytest.skip("the reference does not say what other configs mean (KnownModel.meaning)")
        return model.meaning

    @pytest.fixture
    def spec(self, builder: ModelBuilder, model: KnownModel) -> ModelSpec:
        """The spec of the tiny model. Skips the test if the torch runtime does not support it."""
        spec = builder(ConfigReader(model.config))
        missing = features_in_use(spec) - MODEL_FEATURES
        if missing:
            pytest.skip(f"the torch runtime does not compute {', '.join(sorted(missing))}")
        return spec

    @pytest.fixture
    def folder(self, model: KnownModel, tmp_path: Path) -> Path:
        """The folder of the tiny model."""
        write_known_model(model, tmp_path)
        return tmp_path

    @pytest.fixture
    def text(self, model: KnownModel) -> list[int]:
        """LENGTH token ids."""
        ids: list[int] = random_text(int(_of_text(model.config)["vocab_size"])).tolist()
        return ids

    def test_a_spec_is_built_without_a_tensor_library(self, config: Mapping[str, Any]) -> None:
        """A fresh interpreter builds all configs: `jackfield explain MODEL` must work without a tensor library."""
        heavy = self._imports()
        assert heavy == [], f"building a spec imports {', '.join(heavy)}"

    def test_building_is_pure(self, builder: ModelBuilder, config: Mapping[str, Any]) -> None:
        """Equal configs give equal specs, and stay unchanged."""
        before = copy.deepcopy(dict(config))
        first = builder(ConfigReader(config))
        assert isinstance(first, ModelSpec), f"returned {first!r}, not a ModelSpec"
        assert dict(config) == before, "building changed the config"
        assert builder(ConfigReader(json.loads(json.dumps(before)))) == first

    def test_a_spec_cannot_be_changed(
        self, builder: ModelBuilder, config: Mapping[str, Any]
    ) -> None:
        """It is frozen in all parts, can be hashed, and can be sent to other processes."""
        spec = builder(ConfigReader(config))
        changeable = changeable_parts(spec)
        assert changeable == [], f"these parts of the spec can be changed: {changeable}"
        assert hash(spec) == hash(builder(ConfigReader(config)))
        assert pickle.loads(pickle.dumps(spec)) == spec

    def test_end_tokens_are_those_of_the_config(
        self, builder: ModelBuilder, config: Mapping[str, Any]
    ) -> None:
        """There may be one or several; without them no answer would end. The reference decides what null means."""
        for value, ids in ((5, (5,)), ([5, 7], (5, 7))):
            found = builder(ConfigReader({**config, "eos_token_id": value})).end_token_ids
            assert found == ids, f"for eos_token_id={value!r} end_token_ids is {found}, not {ids}"

    @pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
    def test_the_dtype_is_that_of_the_config(
        self, builder: ModelBuilder, config: Mapping[str, Any], key: str
    ) -> None:
        """The new key and the old one count. An engine computes in the dtype of the training."""
        rest = {name: value for name, value in config.items() if "dtype" not in name}
        for name in ("float32", "bfloat16", "float16"):
            assert builder(ConfigReader({**rest, key: name})).dtype.name == name

    def test_the_length_is_that_of_the_config(
        self, builder: ModelBuilder, config: Mapping[str, Any]
    ) -> None:
        """If a rope is scaled, the length may be larger, at most by the factor."""
        text = _of_text(config)
        key = next((key for key in _LENGTH_KEYS if key in text), None)
        if key is None:
            pytest.skip(f"the config has none of {', '.join(_LENGTH_KEYS)}")
        spec, length = builder(ConfigReader(config)), text[key]
        scalings = [layer.mixer.rope and layer.mixer.rope.scaling for layer in spec.layers]
        factor = max(scaling.factor if scaling else 1.0 for scaling in scalings)
        assert length <= spec.max_length <= length * factor, (
            f"max_length is {spec.max_length}; {key} is {length}, ropes are scaled by {factor}"
        )

    @pytest.mark.parametrize("damage", ["missing", _NONSENSE])
    def test_a_broken_config_is_refused_in_words(
        self, builder: ModelBuilder, config: Mapping[str, Any], damage: str
    ) -> None:
        """Each key is broken, also in tables. The result is a spec, if the family has a default, or a JackfieldError."""
        for how, broken in _DAMAGES[damage](config):
            try:
                builder(ConfigReader(broken))
            except JackfieldError:
                continue
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                pytest.fail(f"the config {how} raises {what}; use require, get and refuse")

    def test_a_config_means_what_the_reference_saves(
        self, builder: ModelBuilder, model: KnownModel
    ) -> None:
        """A config with keys left out and older spellings gives the spec of the complete config."""
        if not model.written:
            pytest.skip("the reference gives no config as it is written (KnownModel.written)")
        check_same(builder, model.written, builder(ConfigReader(model.config)))

    def test_a_key_that_is_left_out_means_the_default_of_the_reference(
        self, builder: ModelBuilder, model: KnownModel, meaning: ConfigMeaning, text: list[int]
    ) -> None:
        """Each key is left out, and set to null, which may mean something else. The config may also be refused."""
        for config in filter(None, (model.written, model.config)):
            check_left_out(builder, meaning, config, torch.tensor(text))

    def test_a_key_that_is_not_read_changes_no_answer(
        self, builder: ModelBuilder, model: KnownModel, meaning: ConfigMeaning, text: list[int]
    ) -> None:
        """Each key gets other values. If the spec stays the same, the reference's logits do too."""
        for config in filter(None, (model.written, model.config)):
            check_unread(builder, meaning, config, torch.tensor(text))

    def test_every_tensor_is_used(self, spec: ModelSpec, model: KnownModel) -> None:
        """An unused tensor would have changed the answers."""
        checkpoint = MemoryCheckpoint(model)
        build(spec, checkpoint)
        left = sorted(set(model.tensors) - checkpoint.used)
        assert left == [], f"no module of the spec reads {', '.join(left)}"

    def test_a_tensor_that_is_missing_is_an_error_that_names_it(
        self, spec: ModelSpec, model: KnownModel
    ) -> None:
        """Each tensor is left out once."""
        for name in model.tensors:
            _check_refused(spec, MemoryCheckpoint(model, {name: None}), name, "missing")

    def test_a_tensor_of_another_shape_is_an_error_that_names_it(
        self, spec: ModelSpec, model: KnownModel
    ) -> None:
        """Each tensor is one shorter or longer along an axis, as if the config were that of another checkpoint. Tensors
        of other layers and experts take turns, so that together they are so along each axis.
        """
        for name, axis, kept in _other_shapes(model.tensors):
            changed = model.tensors[name].index_select(axis, torch.tensor(kept, dtype=torch.long))
            checkpoint = MemoryCheckpoint(model, {name: changed})
            _check_refused(spec, checkpoint, name, f"of shape {tuple(changed.shape)}")

    def test_logits_equal_those_of_the_reference(
        self, spec: ModelSpec, model: KnownModel, text: list[int]
    ) -> None:
        """Computed in float32, at every position of a text. Differences are relative to the largest logit."""
        token_ids_T = torch.tensor(text)
        _check_close(decode(spec, MemoryCheckpoint(model), token_ids_T), model.logits(token_ids_T))

    def test_chunks_of_a_prompt_give_what_the_whole_gives(
        self, spec: ModelSpec, model: KnownModel, text: list[int]
    ) -> None:
        """The text is cut into steps in several ways."""
        token_ids_T, checkpoint = torch.tensor(text), MemoryCheckpoint(model)
        whole = decode(spec, checkpoint, token_ids_T)
        _check_close(decode(spec, checkpoint, token_ids_T, _CHUNKS), whole)

    def test_an_engine_chooses_the_tokens_of_the_reference(
        self, spec: ModelSpec, model: KnownModel, folder: Path, text: list[int]
    ) -> None:
        """Greedy decoding over a paged cache, with cut prompts and several rows in a step. All log probabilities
        count too.
        """
        with self._engine(folder) as llm:
            outputs = answer(llm, _prompts(text), _NEW_TOKENS)
        for output in outputs:
            _check_greedy(model, output)

    def test_rows_may_come_in_any_order(
        self, spec: ModelSpec, folder: Path, text: list[int]
    ) -> None:
        """A request gets the same answer among others in another order."""
        prompts = _prompts(text)
        with self._engine(folder) as llm:
            first = answer(llm, prompts, _NEW_TOKENS)
            again = answer(llm, prompts[::-1], _NEW_TOKENS)[::-1]
        for one, other in zip(first, again, strict=True):
            _check_same(one, other)

    def test_a_prefix_that_is_used_again_changes_nothing(
        self, spec: ModelSpec, folder: Path, text: list[int]
    ) -> None:
        """Cached blocks stand for the tokens that were computed into them."""
        prompt = text[: _LENGTHS[0]]
        with self._engine(folder, **{"cache.prefix_caching": True}) as llm:
            (first,) = answer(llm, [prompt], _NEW_TOKENS)
            (again,) = answer(llm, [prompt], _NEW_TOKENS)
        if not again.metrics.num_cached_tokens:
            self.not_shown("the engine used no block again")
        _check_same(first, again)

    @classmethod
    def _config(cls, case: str, builder: ModelBuilder) -> Mapping[str, Any]:
        try:
            return cls.known(case).config
        except pytest.skip.Exception:
            config = {**TINY, **cls.configs[case], "architectures": [cls.architecture()]}
            if cls.configs is ModelKit.configs:
                _skip_if_refused(builder, config)
            return config

    @classmethod
    @cache
    def _imports(cls) -> list[str]:
        configs = [cls._config(case, cls.load()) for case in cls.configs]
        return imports_of_build(cls.ref().target, configs)

    @classmethod
    def _engine(cls, folder: Path, **settings: Any) -> LLM:
        chosen = {"select.model": cls.name, **settings, **cls.settings}
        return open_engine(folder, cls.plugins, chosen)


def _of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the decoder, for models that also see images."""
    found: Mapping[str, Any] = config.get("text_config") or config
    return found


def _prompts(text: Sequence[int]) -> list[Sequence[int]]:
    return [text[:length] for length in _LENGTHS]


def _skip_if_refused(builder: ModelBuilder, config: Mapping[str, Any]) -> None:
    try:
        builder(ConfigReader(config))
    except JackfieldError as error:
        pytest.skip(f"{NOT_SHOWN}refuses the kit's own config, give one in `configs`: {error}")


def _other_shapes(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, int, list[int]]]:
    """Names, an axis, and the places that are kept along it. Every tensor occurs, and every change of alike ones.

    Tensors are alike if only the numbers of layers and experts in their names differ, and have one shape.
    """
    alike: dict[tuple[str, torch.Size], list[str]] = {}
    for name, tensor in tensors.items():
        alike.setdefault((re.sub(r"(?<=\.)\d+(?=\.)", "N", name), tensor.shape), []).append(name)
    for (_, shape), names in alike.items():
        changes = [
            (axis, kept)
            for axis, size in enumerate(shape)
            for kept in ([*range(size - 1)], [*range(size), 0])
        ]
        for number in range(max(len(names), len(changes)) if changes else 0):
            yield names[number % len(names)], *changes[number % len(changes)]


def _check_refused(spec: ModelSpec, checkpoint: MemoryCheckpoint, name: str, how: str) -> None:
    said = ""
    try:
        build(spec, checkpoint)
    except JackfieldError as error:
        said = str(error)
    assert said, f"{name} is {how}, and nothing says so"
    assert name in said, f"the error for {name} ({how}) does not name it: {said}"


def _check_close(found: Tensor, exact: Tensor, tolerance: float = LOGITS) -> None:
    assert found.shape == exact.shape, f"shape {tuple(found.shape)}, not {tuple(exact.shape)}"
    off = (found - exact).abs().nan_to_num(nan=math.inf)
    distance = float(off.max() / exact.abs().max())
    position = int(off.amax(-1).argmax())
    assert distance <= tolerance, (
        f"logits differ by {distance:.2g} of the largest one, {tolerance:.0e} is allowed; "
        f"the worst is at position {position} of {len(off)}"
    )


def _check_greedy(model: KnownModel, output: RequestOutput) -> None:
    """Check that the reference, which sees the whole answer at once, chooses each of its tokens, except for ties."""
    chosen = list(output.outputs[0].token_ids)
    num_prompt = len(output.prompt_token_ids)
    # The text is as long as the other texts, because a rope may depend on the length.
    whole = [*output.prompt_token_ids, *chosen]
    whole += [0] * (LENGTH - len(whole))
    logits_AV = model.logits(torch.tensor(whole))[num_prompt - 1 :][: len(chosen)]
    largest = float(logits_AV.abs().max())
    best_A = logits_AV.amax(-1)
    chosen_A = logits_AV.gather(1, torch.tensor(chosen)[:, None])[:, 0]
    behind = float((best_A - chosen_A).max())
    assert behind <= 2 * LOGITS * largest, (
        f"chose {chosen}, the reference {logits_AV.argmax(-1).tolist()}"
    )
    log_AV = logits_AV.log_softmax(-1)
    off = float((_log_probabilities(output) - log_AV).abs().max())
    assert off <= LOG_PROBABILITIES * largest, f"log probabilities are off by {off:.2g}"


def _check_same(one: RequestOutput, other: RequestOutput) -> None:
    first, again = (list(output.outputs[0].token_ids) for output in (one, other))
    assert first == again
    off = (_log_probabilities(one) - _log_probabilities(other)).abs().max()
    assert float(off) <= LOG_PROBABILITIES * float(_log_probabilities(one).abs().max())


def _log_probabilities(output: RequestOutput) -> Tensor:
    """[new tokens, V]."""
    rows = output.outputs[0].logprobs or ()
    found = torch.empty(len(rows), len(rows[0].top_ids))
    for row, entry in zip(found, rows, strict=True):
        row[list(entry.top_ids)] = torch.tensor(entry.top_logprobs)
    return found
