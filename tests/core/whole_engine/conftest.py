import dataclasses

import pytest

from jackfield.config import SchedulerSettings
from jackfield.sampling import SamplingParams
from jackfield.testing.loop import SchedulerLoop
from jackfield.testing.models import tiny_spec
from jackfield.testing.options import ReferenceOptions
from jackfield.testing.oracle import reference_answer
from jackfield.testing.tokenizer import ECHO_TOKEN_ID, ByteTokenizer

# The cache groups of a model: one of full attention, one of windows, or both.
GROUPS = {"full": (None,), "window": (6,), "full+window": (None, 6), "two windows": (3, 9)}
_ANSWERS = {}


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
        key = (prompt, repr(request.sampling), request.seed, self.windows)
        if key not in _ANSWERS:  # tests that act at every event ask the same again and again
            _ANSWERS[key] = reference_answer(
                prompt,
                request.sampling,
                self.spec,
                seed=request.seed,
                echo_token_id=ECHO_TOKEN_ID,
                decode=ByteTokenizer().decode,
            )
        return _ANSWERS[key]

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


@pytest.fixture
def make_loop():
    return Loop


@pytest.fixture(params=GROUPS.values(), ids=GROUPS)
def windows(request):
    return request.param
