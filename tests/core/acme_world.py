"""A whole world of plugins, without torch and without weights. Tests install it as a distribution, `acme`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jackfield.decision import Reason
from jackfield.dtypes import BFLOAT16, FLOAT32
from jackfield.interfaces.card import Card
from jackfield.interfaces.executor import Executor, ExecutorFactory
from jackfield.interfaces.model_source import ModelFiles, ModelSource
from jackfield.interfaces.platform import ChoicePoint, Platform
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield.interfaces.weights import Checkpoint, TensorInfo, WeightFormat
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm, Rope, RopeScaling


class Folder(ModelSource):
    def check(self, reference, facts):
        there = Path(reference.text).is_dir()
        return () if there else (Reason("form", f"{reference.text} is no folder"),)

    def resolve(self, reference):
        return ModelFiles(reference=reference.text, path=Path(reference.text))


class ConfigOnly(WeightFormat):
    def check(self, files, facts):
        return () if files.find("config.json") else (Reason("files", "there is no config.json"),)

    def open(self, files):
        return Opened(json.loads(files.find("config.json").read_text()))


class Opened(Checkpoint):
    closed = 0

    def __init__(self, config):
        self._config = config

    config = property(lambda self: self._config)

    @property
    def tensors(self):
        return {"w": TensorInfo("w", FLOAT32, (10, 7), "f")}

    def read(self, name):
        raise AssertionError("weights were read")

    def close(self):
        Opened.closed += 1


def tiny(config):
    scaling = config.values.get("scaling")
    rope = Rope(theta=1e4, rotary_size=8)
    if scaling:
        rope = Rope(theta=1e4, rotary_size=8, scaling=RopeScaling(kind=scaling, factor=2.0))
    if config.values.get("bad"):
        raise KeyError("bad")
    norm = Norm(epsilon=1e-6)
    layer = Layer(
        mixer=Attention(
            num_heads=2,
            num_kv_heads=1,
            head_size=8,
            scale=1.0,
            rope=rope,
            window=config.values.get("window"),
        ),
        feed_forward=FeedForward(size=16),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return ModelSpec(
        architecture=config.architecture,
        vocab_size=32,
        hidden_size=16,
        max_length=config.require("max_position_embeddings", int),
        layers=(layer, layer),
        final_norm=norm,
        modules={},
        dtype=BFLOAT16,
        end_token_ids=(0,),
    )


class Words(TokenizerFormat):
    def check(self, files, facts):
        return () if files.find("words.txt") else (Reason("files", "there is no words.txt"),)

    def open(self, files):
        return Dictionary(files)


class Dictionary(Tokenizer):
    vocab_size = 32
    end_token_ids = (0,)

    def __init__(self, files):
        self.path = files.path

    def encode(self, text, *, add_special_tokens=True):
        return [1 for _ in text.split()]

    def decode(self, token_ids, *, skip_special_tokens=True):
        return " ".join("word" for _ in token_ids)


@dataclass(frozen=True, kw_only=True)
class AcmeOptions:
    speed: int = 1


class Acme(Platform):
    features = frozenset({"attention.rope", "rope.scaling", "platform.num_ranks"})
    serves: ClassVar = {"jackfield_acme.kernels": (1,)}
    precedence = 10
    options = AcmeOptions

    def probe(self):
        return {"cores": 4, "available_bytes": 10_000}

    def check(self, need, facts):
        return () if need.dtype != "float64" else (Reason("dtype", f"no {need.dtype} here"),)

    def defaults(self, facts):
        return {"scheduler.max_rows": facts["cores"], "model.dtype": "float16"}

    def choices(self, spec, config, facts):
        return tuple(
            ChoicePoint(
                kind="jackfield_acme.kernels",
                setting="kernel",
                subject=f"layer {i}",
                need=None,
                preference=("slow",),
                match={"layer": i},
            )
            for i, _ in enumerate(spec.layers)
        )

    def create_worker(self, context): ...


class Host(Platform):
    features = frozenset({"*"})

    def choices(self, spec, config, facts):
        return ()

    def create_worker(self, context): ...


class Kernel(Card): ...


class Runner(Executor):
    depth = 1

    def __init__(self, kind, context):
        self.kind, self.context = kind, context

    def start(self): ...

    def allocate(self, num_blocks): ...

    def submit(self, plan): ...

    def sample(self, step_id, late): ...

    def close(self): ...


class Alone(ExecutorFactory):
    def create(self, context):
        return Runner("alone", context)


class Many(ExecutorFactory):
    features = frozenset({"executor.num_ranks"})

    def create(self, context):
        return Runner("many", context)


class Policy(SchedulingPolicy):
    def admission_key(self, request):
        return ()


class Watcher: ...
