import tracemalloc

import pytest

from jackfield.engine.answer import Answer
from jackfield.engine.deltas import OpenOutput, OpenRequest, deltas_of
from jackfield.engine.observers import Observers
from jackfield.engine.text_maker import TextMaker
from jackfield.interfaces.hooks import hookimpl
from jackfield.request import EngineRequest, FinishReason
from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs
from jackfield_testing.tokenizer import END_TOKEN_ID, ByteTokenizer


class Desk:
    """A maker of text and one request, whose tokens the test plays; its reader gets outputs."""

    def __init__(
        self, *, stream=True, tokenizer=None, has_tokenizer=True, observers=(), **sampling
    ):
        params = SamplingParams(**{"max_tokens": 100, **sampling})
        asked = EngineRequest(
            request_id="r", prompt="Hi", prompt_token_ids=[72, 105], sampling=params
        )
        self.request = OpenRequest(asked, is_streamed=stream, receiver=None, now_s=1.0)
        for index in range(params.n):
            output = OpenOutput(
                asked, seed=0, end_token_ids=(END_TOKEN_ID,), index=index, parent=None
            )
            output.follow(self.request)
            self.request.outputs.append(output)
        tokenizer = (tokenizer or ByteTokenizer()) if has_tokenizer else None
        observers = Observers(observers)
        self.maker = TextMaker(tokenizer, self.finish, lambda: observers)
        self.answer = Answer(self.request)
        self.ended = []

    def finish(self, output, reason, stop_reason=None):
        """As the engine: the first reason stays."""
        self.ended.append(output.index)
        if output.finish_reason is None:
            output.end(reason, stop_reason)

    def token(self, *token_ids, index=0, reason=None, stop_reason=None):
        """Tokens come in one step; the outputs that are reported."""
        output = self.request.outputs[index]
        output.token_ids += token_ids
        if reason is not None:
            self.finish(output, reason, stop_reason)
        return self.moved(output)

    def moved(self, *outputs):
        deltas = self.maker.make(deltas_of(outputs, 2.0))
        return [output for delta in deltas if (output := self.answer.add(delta)) is not None]

    def text(self, text, *, index=0, **last):
        """One token a byte, the last with `last`; all outputs."""
        *first, end = text.encode()
        outputs = [output for token_id in first for output in self.token(token_id, index=index)]
        return [*outputs, *self.token(end, index=index, **last)]


@pytest.fixture
def desk():
    return Desk


def test_a_streamed_request_is_reported_each_time_it_moves(desk):
    outputs = desk().text("abc", reason=FinishReason.LENGTH)

    assert [o.outputs[0].delta for o in outputs] == ["a", "b", "c"]
    assert [o.outputs[0].text for o in outputs] == ["a", "ab", "abc"]
    assert [list(o.outputs[0].token_ids) for o in outputs] == [[97], [97, 98], [97, 98, 99]]
    assert [o.finished for o in outputs] == [False, False, True]
    assert outputs[-1].outputs[0].finish_reason is FinishReason.LENGTH


def test_a_request_that_nobody_streams_is_reported_once(desk):
    (output,) = desk(stream=False).text("日本", reason=FinishReason.LENGTH)

    assert (output.outputs[0].text, output.outputs[0].delta) == ("日本", "日本")
    assert (output.prompt, output.prompt_token_ids) == ("Hi", [72, 105])


def test_what_nobody_streams_is_decoded_once(desk):
    class Counting(ByteTokenizer):
        calls = 0

        def decode(self, token_ids, *, skip_special_tokens=True):
            self.calls += 1
            return super().decode(token_ids, skip_special_tokens=skip_special_tokens)

    tokenizer = Counting()

    desk(stream=False, tokenizer=tokenizer).text("x" * 90, reason=FinishReason.LENGTH)

    assert tokenizer.calls == 2  # the end of the prompt, then all


def test_the_end_token_counts_but_is_no_text(desk):
    here = desk(skip_special_tokens=False)
    here.text("ab")

    (output,) = here.token(END_TOKEN_ID, reason=FinishReason.STOP)

    assert (output.outputs[0].text, output.outputs[0].token_ids) == ("ab", [97, 98, END_TOKEN_ID])


@pytest.mark.parametrize(("include_stop", "text"), [(False, "a"), (True, "ab")])
def test_a_stop_token_is_text_only_where_asked_for(desk, include_stop, text):
    here = desk(stop_token_ids=(98,), include_stop=include_stop)

    output = here.text("ab", reason=FinishReason.STOP, stop_reason=98)[-1].outputs[0]

    assert (output.text, output.stop_reason, len(output.token_ids)) == (text, 98, 2)


@pytest.mark.parametrize("stream", [True, False])
def test_a_stop_string_across_tokens_ends_the_request(desk, stream):
    here = desk(stream=stream, stop=("END",))

    outputs = here.text("one END")

    completion = outputs[-1].outputs[0]
    assert (completion.text, completion.stop_reason) == ("one ", "END")
    assert completion.finish_reason is FinishReason.STOP
    assert len(completion.token_ids) == len("one END")
    assert here.ended == [0]


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_none(desk):
    outputs = desk(stop=("END",)).text("ENTE", reason=FinishReason.LENGTH)

    assert [o.outputs[0].delta for o in outputs] == ["", "", "ENT", "E"]


def test_a_stop_string_in_the_last_token_counts_before_the_length(desk):
    output = desk(stop=("b",)).text("ab", reason=FinishReason.LENGTH)[-1].outputs[0]

    assert (output.text, output.finish_reason, output.stop_reason) == ("a", FinishReason.STOP, "b")


@pytest.mark.parametrize("stream", [True, False])
def test_tokens_behind_a_stop_string_are_dropped(desk, stream):
    here = desk(stream=stream, stop=("b",), logprobs=0)
    here.request.outputs[0].logprobs += [TokenLogprobs(token_id, -1.0, 1) for token_id in b"abcd"]
    here.token(97)

    (output,) = here.token(*b"bc")  # several in one step
    late = here.token(100)  # of a step that was in flight

    completion = output.outputs[0]
    assert (completion.text, completion.stop_reason) == ("a", "b")
    assert list(completion.token_ids) == [97, 98]
    assert [logprob.token_id for logprob in completion.logprobs] == [97, 98]
    assert late == []


def test_outputs_that_move_in_one_step_are_reported_together(desk):
    here = desk(n=2)
    for output, token_id in zip(here.request.outputs, b"ab", strict=True):
        output.token_ids.append(token_id)

    (output,) = here.moved(*here.request.outputs)

    assert [completion.delta for completion in output.outputs] == ["a", "b"]


def test_the_last_to_move_reports_also_where_a_sibling_is_over_already(desk):
    here = desk(n=2, stop=("x",))
    here.text("x", index=1)
    for output in here.request.outputs:
        output.token_ids.append(97)
        output.finish_reason = None  # the engine has not heard of it yet

    (output,) = here.moved(*here.request.outputs)

    assert [completion.text for completion in output.outputs] == ["a", ""]


def test_observers_are_told_of_the_whole_request(desk):
    seen = []

    class Watcher:
        @hookimpl
        def request_finished(self, output):
            seen.append(output)

    (output,) = desk(stream=False, observers=[Watcher()]).text("abc", reason=FinishReason.LENGTH)

    assert seen == [output]


def test_stop_strings_before_min_tokens_are_passed_over(desk):
    output = desk(stop=("a",), min_tokens=3).text("aaba")[-1].outputs[0]

    assert (output.text, output.stop_reason) == ("aab", "a")


def test_a_token_that_ends_it_brings_no_stop_string_with_it(desk):
    here = desk(stop=("<end>",), skip_special_tokens=False)
    here.text("a")

    output = here.token(END_TOKEN_ID, reason=FinishReason.STOP)[0].outputs[0]

    assert (output.text, output.stop_reason) == ("a", None)


def test_bytes_held_back_come_with_the_end(desk):
    here = desk()

    outputs = [*here.token(0xE6), *here.token(0x97, reason=FinishReason.LENGTH)]

    assert [o.outputs[0].delta for o in outputs] == ["", "\ufffd"]


def test_a_request_with_several_outputs_ends_with_the_last_of_them(desk):
    here = desk(n=2, stream=False)

    assert here.token(97, index=1, reason=FinishReason.LENGTH) == []
    (output,) = here.token(98, index=0, reason=FinishReason.LENGTH)

    assert [completion.text for completion in output.outputs] == ["b", "a"]
    assert output.finished


def test_an_output_that_ended_is_not_streamed_again(desk):
    here = desk(n=2)
    here.token(97, index=1, reason=FinishReason.LENGTH)

    (output,) = here.token(98, index=0)

    assert [(c.text, c.delta) for c in output.outputs] == [("b", "b"), ("a", "")]


def test_an_error_comes_with_its_request(desk):
    here = desk()
    here.token(97)
    failed = here.request.outputs[0]
    failed.finish_reason, failed.error = FinishReason.ERROR, "the logits are not finite"

    (output,) = here.moved(failed)

    assert output.outputs[0].error == "the logits are not finite"
    assert (output.outputs[0].text, output.finished) == ("a", True)


def test_logprobs_come_with_their_tokens(desk):
    here = desk(logprobs=1)
    outputs = []
    for token_id in (97, 98):
        here.request.outputs[0].logprobs.append(TokenLogprobs(token_id, -1.0, 1))
        outputs += here.token(token_id)

    assert [[p.token_id for p in o.outputs[0].logprobs] for o in outputs] == [[97], [97, 98]]


def test_prompt_logprobs_come_once_they_are_complete(desk):
    here = desk(prompt_logprobs=0)
    (early,) = here.token(97)
    here.request.outputs[0].prompt_logprobs.append(TokenLogprobs(105, -1.0, 1))

    (late,) = here.token(98)

    assert early.prompt_logprobs is None
    assert late.prompt_logprobs == [None, TokenLogprobs(105, -1.0, 1)]


def test_times_are_those_of_the_first_and_the_last_token(desk):
    metrics = desk().text("ab", reason=FinishReason.LENGTH)[-1].metrics

    assert (metrics.arrived_s, metrics.first_token_s, metrics.finished_s) == (1.0, 2.0, 2.0)


def test_without_a_tokenizer_there_are_ids_and_no_text(desk):
    here = desk(has_tokenizer=False)

    (output,) = here.token(97, reason=FinishReason.LENGTH)

    assert (output.outputs[0].text, output.outputs[0].token_ids) == ("", [97])


def test_outputs_kept_by_the_caller_do_not_take_quadratic_memory(desk):
    here = desk(max_tokens=4000, ignore_eos=True)
    tracemalloc.start()

    outputs = here.text("x" * 4000)

    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 2000 * len(
        outputs
    )  # bytes; copies of the text and ids would take 5 times as much


class Mute(ByteTokenizer):
    """Fails at the token 66."""

    def __init__(self, fails):
        self.fails = fails

    def decode(self, token_ids, *, skip_special_tokens=True):
        return self.fails() if 66 in token_ids else super().decode(token_ids)

    def piece(self, token_id):
        return None


def exits():
    raise SystemExit(0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fails", [exits, lambda: None, lambda: 1 / 0])
def test_tokens_that_cannot_be_decoded_end_that_output_alone(desk, caplog, stream, fails):
    desk = desk(stream=stream, tokenizer=Mute(fails), n=2)

    desk.token(65)
    desk.token(66, reason=FinishReason.LENGTH)
    (output,) = desk.text("ok", index=1, reason=FinishReason.LENGTH)[-1:]

    first, second = output.outputs
    assert (first.finish_reason, second.finish_reason) == (FinishReason.ERROR, FinishReason.LENGTH)
    assert "the tokenizer cannot decode tokens: " in first.error
    assert second.text == "ok"
    assert "request r: the tokenizer cannot decode" in caplog.text


def test_a_stream_whose_tokens_cannot_be_decoded_ends_at_once(desk):
    desk = desk(tokenizer=Mute(exits))

    (output,) = desk.token(66)

    assert output.finished
    assert list(output.outputs[0].token_ids) == [66]
    assert desk.ended == [0]
