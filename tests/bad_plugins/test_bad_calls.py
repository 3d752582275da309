"""Plugins that fail after they were admitted: in checks, at work, and in workers."""

import re
import time

import pytest

from jackfield.errors import PluginLoadError, WorkerError
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams

pytestmark = pytest.mark.thorough

FOUR = SamplingParams(max_tokens=4, ignore_eos=True)
PROCESS = {"select.executor": "multiprocess"}


@pytest.mark.parametrize("name", ["abandons", "boasts", "chatters", "defaces", "stutters", "sulks"])
def test_an_engine_that_does_not_need_it_runs(install, name):
    with install(name).engine() as llm:
        (output,) = llm.generate([[1, 2, 3]], FOUR)

    assert len(output.outputs[0].token_ids) == 4


def test_the_one_that_abandons_is_named_in_the_decision(install):
    with install("abandons").engine() as llm:
        report = "\n".join(decision.report() for decision in llm.decisions)

    assert re.search(r"failed +abandons \[bad-abandons 1\.2\.3\]", report)
    assert "SystemExit: 0" in report


def test_a_wrong_precedence_is_told_where_the_platform_is_named(install):
    with pytest.raises(PluginLoadError, match="Bad.precedence must be a finite number, got 'high'"):
        install("boasts").named_engine()


@pytest.mark.parametrize("executor", [{}, PROCESS])
def test_what_it_prints_never_mixes_with_an_answer(install, capfd, executor):
    with install("chatters").named_engine(**executor) as llm:
        llm.generate([[1, 2, 3]], FOUR)

    captured = capfd.readouterr()
    assert captured.out == ""
    assert "chatter of a check" in captured.err
    assert "chatter of a worker" in captured.err or not executor


def test_what_an_observer_does_to_an_output_does_not_reach_the_user(install, caplog):
    with install("defaces").engine() as llm:
        (output,) = llm.generate([[1, 2, 3]], FOUR)

    assert len(output.outputs[0].token_ids) == 4
    assert output.outputs[0].text != "defaced"
    assert "the hook 'defaces' of bad-defaces 1.2.3" in caplog.text


def test_a_prompt_that_it_cannot_encode_fails_alone(install):
    with install("stutters").engine(**{"select.tokenizer": "stutters"}) as llm:
        bad, good = llm.generate(["seven", "six"], FOUR)

    assert bad.outputs[0].finish_reason is FinishReason.ERROR
    assert re.search(r"'stutters' of bad-stutters 1\.2\.3 .*token id -5", bad.outputs[0].error)
    assert len(good.outputs[0].token_ids) == 4


def test_an_output_that_it_cannot_decode_fails_alone(install):
    with install("stutters").engine(**{"select.tokenizer": "stutters"}) as llm:
        bad, good = llm.generate([[1, 7], [1, 8]], SamplingParams(max_tokens=1, ignore_eos=True))

    assert "cannot decode tokens: LookupError" in bad.outputs[0].error
    assert good.outputs[0].finish_reason is FinishReason.LENGTH


def test_a_request_that_a_policy_has_no_key_for_fails_alone(install):
    with install("sulks").engine(**{"select.scheduler": "sulks"}) as llm:
        first, second, third = llm.generate([[1], [2], [3]], FOUR)

    assert re.search(r"'sulks' of bad-sulks 1\.2\.3", second.outputs[0].error)
    assert [len(o.outputs[0].token_ids) for o in (first, third)] == [4, 4]


def test_a_worker_that_dies_and_leaves_a_child_is_noticed_at_once(install):
    with install("orphans").named_engine(**PROCESS) as llm:
        began_s = time.monotonic()
        with pytest.raises(WorkerError, match=r"exited with status 5.*bad-orphans 1\.2\.3"):
            llm.generate([[1, 2, 3]], FOUR)

    assert time.monotonic() - began_s < 10
