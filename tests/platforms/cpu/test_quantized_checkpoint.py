"""A checkpoint whose config says which linears are quantized runs with the scheme that reads its method."""

import json
import sys
import textwrap

import pytest
import torch
from safetensors.torch import load_file, save_file

from jackfield import LLM, SamplingParams
from jackfield.cli.main import main
from jackfield.errors import SelectionError

pytestmark = pytest.mark.cpu_model

PROMPTS = [[11, 4, 27, 90, 3, 15], [60, 2, 2, 35, 80], [7]]
GREEDY = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)
EXCLUDED = ["model.layers.0", "lm_head"]
IN_LAYER_1 = "linears of layer 1 (acme8)"
OTHERS = "linears of layer 0; head (plain weights)"
SCHEME = """
    from jackfield_torch.interfaces.quantization import QuantizationScheme

    class Acme8(QuantizationScheme):
        features = frozenset({"quantization.method=acme8", "quantization.settings"})

        def check(self, need, facts):
            return ()

        def can_fuse(self, parts):
            return False

        def create(self, parts, shard):
            from acme8_linear import Acme8Linear

            (part,) = parts
            assert part.settings == {"bits": 8}
            return Acme8Linear(shard.read(part, "weight"), shard.read(part, "weight_scale"))
"""
LINEAR = """
    from jackfield_torch.interfaces.linear import Linear

    class Acme8Linear(Linear):
        def __init__(self, weight_OI, scale_O):
            self.weight_OI, self.scale_O = weight_OI, scale_O

        def __call__(self, x_TI):
            return x_TI @ self.weight_OI.to(x_TI.dtype).T * self.scale_O
"""
LOCAL = ("jackfield_torch.quantization.acme8=acme8_scheme:Acme8",)


def quantized(model, folder, **table):
    """The model twice: layer 1 in eight bits with `quantization_config`, and what that is worth in plain weights."""
    config = json.loads((model.path / "config.json").read_text())
    stored = load_file(model.path / "model.safetensors")
    worth = dict(stored)
    for name in [name for name in stored if ".layers.1." in name and "proj" in name]:
        weight_OI = stored[name]
        scale_O = weight_OI.abs().amax(1) / 127
        stored[name] = (weight_OI / scale_O[:, None]).round().to(torch.int8)
        stored[f"{name}_scale"] = scale_O
        worth[name] = stored[name].float() * scale_O[:, None]
    table = {"quant_method": "acme8", "bits": 8, "modules_to_not_convert": EXCLUDED, **table}
    for kind, tensors, more in (
        ("stored", stored, {"quantization_config": table}),
        ("worth", worth, {}),
    ):
        (folder / kind).mkdir()
        (folder / kind / "config.json").write_text(json.dumps({**config, **more}))
        save_file(tensors, folder / kind / "model.safetensors")
    return folder / "stored", folder / "worth"


@pytest.fixture
def models(tiny_llama, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme8_scheme.py").write_text(textwrap.dedent(SCHEME))
    (tmp_path / "acme8_linear.py").write_text(textwrap.dedent(LINEAR))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield quantized(tiny_llama, tmp_path)
    for name in ("acme8_scheme", "acme8_linear"):
        sys.modules.pop(name, None)


def tokens_of(path, **settings):
    with LLM(str(path), dtype="float32", plugins=LOCAL, settings=settings) as llm:
        outputs = llm.generate(PROMPTS, GREEDY)
        chosen = {d.subject: d.chosen for d in llm.decisions if "quantization" in d.kind}
    return [one.outputs[0].token_ids for one in outputs], chosen


def test_quantized_and_plain_linears_run_side_by_side(models):
    stored, worth = models

    tokens, chosen = tokens_of(stored)

    assert chosen == {IN_LAYER_1: "acme8", OTHERS: "unquantized"}
    assert tokens == tokens_of(worth)[0]


def test_a_rule_names_the_scheme_of_a_method(models):
    rules = [{"match": {"method": "acme8"}, "use": "acme8"}]

    _, chosen = tokens_of(models[0], **{"select.quantization": rules})

    assert chosen == {IN_LAYER_1: "acme8", OTHERS: "unquantized"}


def test_a_method_that_nothing_reads_is_refused_by_name_before_anything_is_loaded(models):
    with pytest.raises(SelectionError) as caught:
        LLM(str(models[0]), dtype="float32")

    for part in (
        f"quantization for {IN_LAYER_1}\n  unquantized: ",
        "does not serve quantization.method=acme8",
        "pip install jackfield-acme8",
    ):
        assert part in str(caught.value)


def test_explain_tells_what_each_layer_is_stored_in(models, capsys):
    words = [f"--set=plugins.local={LOCAL[0]}", "--dtype=float32", "--json"]

    assert main(["explain", str(models[0]), *words]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["memory"]["weight_bytes"] == sum(
        tensor.nbytes for tensor in load_file(models[0] / "model.safetensors").values()
    )
    decisions = document["decisions"]
    (first, second) = [d for d in decisions if d["kind"] == "jackfield_torch.quantization"]
    assert (first["subject"], first["chosen"]) == (OTHERS, "unquantized")
    assert (second["subject"], second["chosen"]) == (IN_LAYER_1, "acme8")
    verdicts = {
        c["name"]: (c["verdict"], [r["code"] for r in c["reasons"]]) for c in second["candidates"]
    }
    assert verdicts.pop("acme8") == ("chosen", [])
    assert "unquantized" in verdicts
    assert {verdict for verdict, _ in verdicts.values()} == {"refused"}
