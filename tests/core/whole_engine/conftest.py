import dataclasses

import pytest

from jackfield.config import SchedulerSettings
from jackfield.engine.seeds import output_seed
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams
from jackfield_testing.desk import Desk
from jackfield_testing.engine import make_engine
from jackfield_testing.loop import SchedulerLoop
from jackfield_testing.models import tiny_spec
from jackfield_testing.options import ReferenceOptions
from jackfield_testing.oracle import reference_answer
from jackfield_testing.tokenizer import ECHO_TOKEN_ID, ByteTokenizer

# The cache groups of a model: one of full attention, one of windows or chunks, or both.
GROUPS = {
    "full": (None,),
    "window": (6,),
    "full+window": (None, 6),
    "two windows": (3, 9),
    "full+chunks": (None, "chunk 6"),
}
_ANSWERS = {}  # tests that act at every event ask the same again and again


def answer_to(prompt, sampling, seed, spec, windows):
    """The right answer, by the oracle."""
    key = (prompt, repr(sampling), seed, windows, spec.max_length)
    if key not in _ANSWERS:
        _ANSWERS[key] = reference_answer(
            prompt,
            sampling,
            spec,
            seed=seed,
            echo_token_id=ECHO_TOKEN_ID,
            decode=ByteTokenizer().decode,
        )
    return _ANSWERS[key]


class Loop(SchedulerLoop):
    """A scheduler loop that remembers what was asked, and compares every answer with the oracle."""

    def __init__(self, windows=(None,), *, options=None, **values):
        self.windows = windows
        names = {field.name for field in dataclasses.fields(SchedulerSettings)}
        settings = {name: values.pop(name) for name in names & set(values)}
        super().__init__(
            tiny_spec(windows=windows, max_length=values.pop("max_length", 128)),
            settings=SchedulerSettings(**{"watermark": 0.0, **settings}),
            options=ReferenceOptions(**{"echo_token_id": ECHO_TOKEN_ID, **(options or {})}),
            **values,
        )
        self.requests = []

    def ask(self, prompt, priority=0, **sampling):
        params = SamplingParams(**{"temperature": 0.0, "max_tokens": 12, **sampling})
        requests = self.add(prompt, params, priority=priority)
        self.requests += requests
        return requests[0] if params.n == 1 else requests

    def expected(self, request):
        prompt = tuple(request.token_ids[: request.num_prompt_tokens])
        return answer_to(prompt, request.sampling, request.seed, self.spec, self.windows)

    def check(self, cut_short=()):
        """Every answer is right; those of `cut_short` are the beginning of the right one."""
        for request in self.requests:
            answer = self.expected(request)
            output = tuple(request.output_token_ids)
            if request in cut_short:
                assert output == answer.token_ids[: len(output)]
            else:
                assert (output, request.finish_reason) == (answer.token_ids, answer.finish_reason)
        assert self.leaks() == []


class EngineDriver:
    """A real engine on the reference platform, what it was asked, and what it answered."""

    def __init__(self, folder, windows=(None,), max_length=128, **settings):
        self.spec = tiny_spec(windows=windows, max_length=max_length)
        self.windows = windows
        code = {
            "cache.block_size": 4,
            "scheduler.watermark": 0.0,
            "options.reference.echo_token_id": ECHO_TOKEN_ID,
            **settings,
        }
        self.engine = make_engine(folder, code, windows=windows, max_length=max_length)
        self.desk = Desk(self.engine)
        self.asked = {}  # request id: prompt, sampling, number of the request
        self.outputs = {}  # request id: the last output

    def ask(self, prompt, *, priority=0, stream=False, salt="", **sampling):
        params = SamplingParams(**{"temperature": 0.0, "max_tokens": 12, **sampling})
        request = self.engine.input.process(prompt, params, priority=priority, cache_salt=salt)
        self.desk.add(request, stream=stream)
        self.asked[request.request_id] = (request.prompt_token_ids, params, len(self.asked))
        return request.request_id

    def abort(self, request_id):
        output = self.desk.abort(request_id)
        if output is not None:
            self.outputs[request_id] = output
        return output

    def step(self):
        outputs = self.desk.step()
        for output in outputs:
            assert not (
                output.request_id in self.outputs and self.outputs[output.request_id].finished
            ), "a request was reported after its end"
            self.outputs[output.request_id] = output
        return outputs

    def run(self, before_step=lambda number: None):
        """Until nothing is open and nothing in flight."""
        number = 0
        while self.engine.has_unfinished or self.engine.num_in_flight:
            before_step(number)
            self.step()
            number += 1
        return self.outputs

    def expected(self, request_id, index=0):
        prompt, sampling, number = self.asked[request_id]
        seed = number if sampling.seed is None else sampling.seed
        return answer_to(tuple(prompt), sampling, output_seed(seed, index), self.spec, self.windows)

    def check(self):
        """Every answer is right, that of an aborted request as far as it goes; and the books balance."""
        for request_id, (_, sampling, _) in self.asked.items():
            output = self.outputs[request_id]
            assert output.finished
            assert [o.index for o in output.outputs] == list(range(sampling.n))
            for index, got in enumerate(output.outputs):
                self._check_output(got, sampling, self.expected(request_id, index))
        self.check_books()

    def _check_output(self, got, sampling, answer):
        token_ids = tuple(got.token_ids)
        if got.finish_reason is FinishReason.ABORT:
            assert token_ids == answer.token_ids[: len(token_ids)]
            return
        assert (token_ids, got.finish_reason) == (answer.token_ids, answer.finish_reason)
        text = ByteTokenizer().decode(token_ids)
        stop = got.stop_reason if isinstance(got.stop_reason, str) else None
        if stop is not None and not sampling.include_stop:
            text = text.removesuffix(stop)  # tokens are bytes, so it ends with the last
        if not sampling.stop_token_ids:  # a token that stops is no part of the text
            assert got.text == text

    def check_books(self):
        parts = self.engine._state.parts
        assert [pool.num_used for pool in parts.blocks.pools] == [0] * len(parts.blocks.pools)
        assert not parts.blocks.has_returning
        stats = parts.scheduler.stats
        assert (stats.num_running, stats.num_waiting, stats.num_in_flight) == (0, 0, 0)


@pytest.fixture(scope="session")
def engine_driver():
    """The class, for tests that open many engines each."""
    return EngineDriver


@pytest.fixture
def open_engine(tmp_path):
    drivers = []

    def open_(*args, **settings):
        driver = EngineDriver(tmp_path / f"model{len(drivers)}", *args, **settings)
        drivers.append(driver)
        return driver

    yield open_
    for driver in drivers:
        driver.engine.close()


@pytest.fixture(scope="session")
def make_loop():
    return Loop


@pytest.fixture(
    params=[
        pytest.param(windows, id=name, marks=() if None in windows else pytest.mark.thorough)
        for name, windows in GROUPS.items()
    ]
)
def windows(request):
    return request.param
