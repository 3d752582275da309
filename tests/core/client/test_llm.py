import gc
import json
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jackfield.client import LLM
from jackfield.errors import (
    ConfigError,
    EngineClosedError,
    ModelNotFound,
    PluginNotFound,
    RequestError,
    WorkerError,
)
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.tokenizer import VOCAB_SIZE

pytestmark = pytest.mark.core_model
GREEDY = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)


def texts(outputs):
    return [output.outputs[0].text for output in outputs]


def test_outputs_come_in_the_order_of_the_prompts(llm):
    lengths = [20, 1, 7]
    params = [SamplingParams(max_tokens=n, ignore_eos=True) for n in lengths]

    outputs = llm.generate(["a", "b", "c"], params)

    assert [output.prompt for output in outputs] == ["a", "b", "c"]
    assert [len(output.outputs[0].token_ids) for output in outputs] == lengths
    assert [output.request_id for output in outputs] == ["0", "1", "2"]


def test_a_prompt_given_alone_gives_a_list_of_one(llm):
    alone = llm.generate("a", GREEDY)

    assert texts(alone) == texts(llm.generate(["a"], GREEDY))


def test_no_prompts_give_no_outputs(llm):
    assert llm.generate([]) == []


def test_token_ids_and_conversations_are_prompts_too(llm):
    messages = [{"role": "user", "content": "hi"}]
    ids = llm.chat_prompt(messages)

    outputs = llm.generate([ids, messages], GREEDY)

    assert texts(outputs) == texts(llm.chat(messages, GREEDY)) * 2
    assert texts(llm.generate(ids, GREEDY)) == texts(outputs)[:1]


def test_several_conversations_can_be_answered_at_once(llm):
    one, two = ([{"role": "user", "content": text}] for text in ("hi", "ho"))

    outputs = llm.chat([one, two], GREEDY)

    assert texts(outputs) == texts([*llm.chat(one, GREEDY), *llm.chat(two, GREEDY)])


def test_in_a_batch_only_the_wrong_prompt_fails(llm):
    good, empty, long, unknown = llm.generate(["ok", "", "x" * 600, [VOCAB_SIZE]], GREEDY)

    assert good.outputs[0].finish_reason is FinishReason.LENGTH
    for output, words in ((empty, "empty"), (long, "600 tokens"), (unknown, "vocabulary")):
        assert output.finished
        assert output.outputs[0].finish_reason is FinishReason.ERROR
        assert words in output.outputs[0].error


@pytest.mark.parametrize("prompt", ["", "x" * 600, [VOCAB_SIZE], None, 5, {"role": "user"}])
def test_a_wrong_prompt_given_alone_raises(llm, prompt):
    with pytest.raises(RequestError):
        llm.generate(prompt)

    assert len(llm.generate("fine", GREEDY)) == 1


def test_an_error_in_a_row_ends_that_request_alone(open_llm):
    llm = open_llm(**{"options.reference.error_token_id": 33})

    good, bad = llm.generate(["ab", "a!"], GREEDY)

    assert good.outputs[0].finish_reason is FinishReason.LENGTH
    assert bad.outputs[0].finish_reason is FinishReason.ERROR
    assert bad.outputs[0].error


def test_there_must_be_one_set_of_parameters_for_all_or_one_for_each(llm):
    with pytest.raises(RequestError, match="3 prompts came with 2 sampling_params"):
        llm.generate(["a", "b", "c"], [GREEDY, GREEDY])


def test_prompts_may_come_from_a_generator(llm):
    assert texts(llm.generate((text for text in ("ab", "cd")), GREEDY)) == texts(
        llm.generate(["ab", "cd"], GREEDY)
    )


def test_prompts_in_mappings_and_arrays_are_answered_as_their_content(llm):
    ids = llm.tokenizer.encode("ab")

    forms = [{"prompt": "ab"}, {"prompt_token_ids": ids}, np.array(ids), ids]
    assert len({text for form in forms for text in texts(llm.generate(form, GREEDY))}) == 1
    assert len(set(texts(llm.generate(forms, GREEDY)))) == 1


def test_what_a_request_leaves_open_is_as_the_authors_of_the_model_want_it(model, open_llm):
    wanted = {"do_sample": False, "max_new_tokens": 3}
    (Path(model) / "generation_config.json").write_text(json.dumps(wanted))
    llm = open_llm()

    left_open, given = llm.generate(["ab", "ab"], [SamplingParams(), SamplingParams(max_tokens=5)])

    assert len(left_open.outputs[0].token_ids) == 3
    assert given.outputs[0].token_ids[:3] == left_open.outputs[0].token_ids  # both greedy
    assert llm.explanation()["model"]["sampling"] == {"max_tokens": 3, "temperature": 0.0}


def test_a_salt_keeps_prefixes_apart(llm):
    prompt = "a prompt that fills some blocks of the cache"
    first, second, third = (
        llm.generate(prompt, GREEDY, cache_salt=salt)[0] for salt in ("a", "a", "b")
    )

    cached = [output.metrics.num_cached_tokens for output in (first, second, third)]
    assert cached[0] == cached[2] == 0 < cached[1]
    assert texts([first]) == texts([second]) == texts([third])


def test_the_priority_decides_who_is_first(open_llm):
    llm = open_llm(**{"select.scheduler": "priority", "scheduler.max_rows": 1})

    late, soon = llm.generate(["a", "b"], GREEDY, priority=[5, 1])

    assert soon.metrics.finished_s < late.metrics.first_token_s


# Streaming


def test_a_stream_gives_text_piece_by_piece(llm):
    outputs = list(llm.stream(["a", "b"], GREEDY))

    for number, whole in zip("01", texts(llm.generate(["a", "b"], GREEDY)), strict=True):
        mine = [output for output in outputs if output.request_id == number]
        assert "".join(output.outputs[0].delta for output in mine) == whole
        assert mine[-1].outputs[0].text == whole
        assert [output.finished for output in mine] == [False] * 7 + [True]


def test_a_request_says_what_the_outputs_of_a_stream_hold(llm):
    kinds = ["cumulative", "delta", "final"]
    params = [replace(GREEDY, output_kind=kind, n=2, logprobs=1) for kind in kinds]

    outputs = list(llm.stream(["same"] * 3, params))
    whole = llm.generate(["same"] * 3, params)

    parts = {number: [o for o in outputs if o.request_id == number] for number in "012"}
    assert [len(mine) > 7 for mine in parts.values()] == [True, True, False]
    assert (len(parts["2"]), parts["2"][0].finished) == (1, True)
    for index in range(2):
        full = whole[0].outputs[index]
        for number in "02":
            last = parts[number][-1].outputs[index]
            assert (last.text, list(last.token_ids)) == (full.text, list(full.token_ids))
        news = [o.outputs[index] for o in parts["1"]]
        assert "".join(new.text for new in news) == full.text
        assert [t for new in news for t in new.token_ids] == list(full.token_ids)
        assert [e for new in news for e in new.logprobs] == list(full.logprobs)
        assert news[-1].finish_reason is full.finish_reason


def test_a_stream_of_a_wrong_prompt_says_so_and_goes_on(llm):
    outputs = list(llm.stream(["", "ok"], GREEDY))

    assert outputs[0].outputs[0].finish_reason is FinishReason.ERROR
    assert outputs[-1].outputs[0].finish_reason is FinishReason.LENGTH


def test_a_closed_stream_withdraws_its_requests(llm):
    stream = llm.stream("a", SamplingParams(max_tokens=400, ignore_eos=True))
    next(stream)
    assert llm.engine.has_unfinished

    stream.close()

    assert not llm.engine.has_unfinished


def test_other_calls_can_be_made_while_a_stream_is_open(llm):
    expected = list(llm.stream("a", GREEDY))
    stream = llm.stream("a", GREEDY)
    begun = [next(stream)]

    assert texts(llm.generate("b", GREEDY))
    rest = list(stream)

    deltas = [output.outputs[0].delta for output in begun + rest]
    assert deltas == [output.outputs[0].delta for output in expected]


# Progress


def test_a_bar_counts_requests_on_standard_error(llm, capsys):
    outputs = llm.generate(["a", "", "c"], GREEDY, progress=True)

    captured = capsys.readouterr()
    assert "3/3" in captured.err
    assert captured.out == ""
    assert len(outputs) == 3


# Settings


def test_settings_come_from_file_and_code_and_code_wins(model, tmp_path):
    file = tmp_path / "jackfield.toml"
    file.write_text("[cache]\nblock_size = 8\n[scheduler]\nmax_rows = 3\n")
    settings = {**REFERENCE_SETTINGS, "cache.block_size": 4}

    with LLM(model, dtype="bfloat16", config_file=file, settings=settings) as llm:
        config = llm.config

    assert (config.cache.block_size, config.scheduler.max_rows) == (4, 3)
    assert config.model.dtype == "bfloat16"


def test_a_local_plugin_can_be_named_in_code(model, tmp_path, monkeypatch):
    (tmp_path / "my_policy.py").write_text(
        "from jackfield.scheduler.policies import FcfsPolicy\nclass Mine(FcfsPolicy): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {**REFERENCE_SETTINGS, "select.scheduler": "mine"}

    with LLM(model, settings=settings, plugins=["schedulers.mine=my_policy:Mine"]) as llm:
        chosen = {decision.kind: decision.chosen for decision in llm.decisions}

    assert chosen["schedulers"] == "mine"


@pytest.mark.parametrize(
    ("model_name", "settings", "error"),
    [
        ("", {}, ConfigError),
        ("no/such/folder/here", {"select.model_source": "local"}, ModelNotFound),
        (None, {"cache.block_size": 0}, ConfigError),
    ],
)
def test_what_cannot_be_opened_raises(model, model_name, settings, error):
    with pytest.raises(error):
        LLM(
            model if model_name is None else model_name, settings={**REFERENCE_SETTINGS, **settings}
        )


# The end


def test_a_worker_that_fails_raises_in_generate_and_ends_the_llm(open_llm):
    llm = open_llm(**{"options.reference.fault": "raise", "options.reference.fault_step": 2})

    with pytest.raises(WorkerError, match="PlannedFault"):
        llm.generate(["a", "b"], GREEDY)
    with pytest.raises(EngineClosedError, match="PlannedFault"):
        llm.generate("a")


@pytest.mark.distributed
def test_a_rank_that_dies_raises_in_generate(open_llm):
    llm = open_llm(
        **{
            "executor.tensor_parallel": 2,
            "options.reference.fault": "die",
            "options.reference.fault_rank": 1,
            "options.reference.fault_step": 3,
        }
    )

    with pytest.raises(WorkerError, match="rank 1 .*exited with status 13"):
        llm.generate(["a", "b"], GREEDY)


@pytest.mark.distributed
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_two_ranks_answer_as_one(open_llm, llm, depth):
    prompts = ["a", "longer than that", "日本"]
    params = SamplingParams(n=2, max_tokens=12, seed=3)
    two = open_llm(**{"executor.tensor_parallel": 2, "executor.depth": depth})

    answers = [[o.outputs[i].token_ids for i in (0, 1)] for o in two.generate(prompts, params)]

    assert answers == [
        [o.outputs[i].token_ids for i in (0, 1)] for o in llm.generate(prompts, params)
    ]


def test_a_closed_llm_says_so(llm):
    llm.close()
    llm.close()

    with pytest.raises(EngineClosedError):
        llm.generate("a")


@pytest.mark.thorough
def test_ten_llms_one_after_the_other_leave_memory_and_threads_flat(model):
    def use():
        with LLM(model, settings=REFERENCE_SETTINGS) as llm:
            llm.generate(["a", "b"] * 4, GREEDY)
        gc.collect()
        return threading.active_count()

    use()  # imports and caches
    threads = threading.active_count()
    tracemalloc.start()
    use()
    before, _ = tracemalloc.get_traced_memory()

    for _ in range(9):
        assert use() == threads

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000  # bytes; an open engine takes 500,000 here


def test_an_explanation_of_what_runs_compares_with_a_saved_one(jackfield, llm, model, tmp_path):
    running, saved = tmp_path / "running.json", tmp_path / "saved.json"
    running.write_text(json.dumps(llm.explanation()))
    words = [f"--set={key}={value}" for key, value in REFERENCE_SETTINGS.items()]
    saved.write_text(jackfield("explain", model, *words, "--json").out)

    done = jackfield("explain", "--diff", running, saved)

    assert "different choices: 0" in done.out
    assert "not asked" not in done.out
    assert done.out.endswith("values: 0\n")


def test_an_error_of_selection_carries_what_was_decided(model):
    with pytest.raises(PluginNotFound) as caught:
        LLM(model, settings={**REFERENCE_SETTINGS, "select.scheduler": "nosuch"})

    *made, failed = caught.value.decisions
    assert "platforms" in [decision.kind for decision in made]
    assert (failed.kind, failed.chosen) == ("schedulers", None)
