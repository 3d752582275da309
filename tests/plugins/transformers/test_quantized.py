"""Linears that a checkpoint stores quantized are multiplied by their scheme, whoever's code runs the model."""

import pytest

from jackfield import LLM, SamplingParams
from jackfield.cli.main import main
from jackfield_testing_torch.conformance.known_model import transformers_model, write_known_model

pytestmark = pytest.mark.cpu_model

SETTINGS = {"cache.num_blocks": 64, "model.dtype": "float32", "plugins.probe": "inline"}
PROMPTS = ([*range(7, 47)], [5, 6, 7])


def _answers(folder, **settings):
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True, logprobs=1)
    with LLM(str(folder), settings={**SETTINGS, **settings}) as llm:
        return [output.outputs[0] for output in llm.generate(list(PROMPTS), params)]


@pytest.mark.parametrize("scheme", [("rtn", "--group-size", "32"), ("fp8",)], ids=["gptq", "fp8"])
def test_answers_are_those_of_the_spec_over_the_same_codes(tmp_path, scheme):
    (tmp_path / "plain").mkdir()
    sizes = {"head_dim": 32, "intermediate_size": 128}
    write_known_model(transformers_model("LlamaForCausalLM", sizes), tmp_path / "plain")
    folder = tmp_path / "quantized"
    assert main(["quantize", str(tmp_path / "plain"), "-o", str(folder), "--scheme", *scheme]) == 0

    ours, theirs = _answers(folder), _answers(folder, **{"select.model": "transformers"})

    for one, other in zip(ours, theirs, strict=True):
        assert one.token_ids == other.token_ids
        expected = [entry.logprob for entry in one.logprobs]
        assert [entry.logprob for entry in other.logprobs] == pytest.approx(expected, abs=1e-4)
