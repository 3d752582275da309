import pytest

from jackfield.engine.input_processor import InputProcessor
from jackfield.errors import RequestError
from jackfield.sampling import SamplingParams
from jackfield_testing.tokenizer import VOCAB_SIZE, ByteTokenizer


@pytest.fixture
def inputs():
    return InputProcessor(ByteTokenizer(), vocab_size=VOCAB_SIZE, max_length=16)


@pytest.fixture
def without_tokenizer():
    return InputProcessor(
        None, vocab_size=VOCAB_SIZE, max_length=16, missing_tokenizer="no tokenizer.json"
    )


@pytest.fixture
def on_acme():
    return InputProcessor(
        None,
        vocab_size=VOCAB_SIZE,
        max_length=16,
        platform="the platform 'acme' of acme 1.0",
        features=frozenset({"sampling.top_k"}),
    )


def test_sampling_that_the_platform_declares_is_passed_on(on_acme):
    assert on_acme.process([1], SamplingParams(top_k=3)).sampling.top_k == 3


def test_sampling_that_the_platform_does_not_declare_is_refused_by_name(on_acme):
    with pytest.raises(RequestError, match=r"^top_p: not served by .*acme 1\.0.* sampling\.top_p"):
        on_acme.process([1], SamplingParams(top_p=0.5))


def test_text_is_tokenized_and_kept(inputs):
    request = inputs.process("ab")

    assert (request.prompt, list(request.prompt_token_ids)) == ("ab", [97, 98])


def test_token_ids_are_taken_as_they_are(inputs):
    request = inputs.process((5, 6))

    assert (request.prompt, list(request.prompt_token_ids)) == (None, [5, 6])


def test_a_conversation_goes_through_the_chat_template(inputs):
    inputs = InputProcessor(ByteTokenizer(), vocab_size=VOCAB_SIZE, max_length=64)
    messages = [{"role": "user", "content": "hi"}]

    request = inputs.process(messages)

    assert request.prompt == "user: hi\nassistant:"
    assert inputs.chat_prompt(messages) == list(request.prompt_token_ids)


def test_requests_are_numbered_unless_they_bring_a_name(inputs):
    ids = [inputs.process("a", request_id=name).request_id for name in (None, "mine", None)]

    assert ids == ["0", "mine", "2"]


def test_the_salt_separates_cached_prefixes(inputs):
    assert inputs.process("a", cache_salt="tenant").prefix_key.salt == "tenant"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "empty"),
        ([], "empty"),
        ("x" * 16, "16 tokens.*max_length = 16.*at most 15.*Shorten"),
        ([1, VOCAB_SIZE], rf"id {VOCAB_SIZE}.*0 to {VOCAB_SIZE - 1}"),
        ([-1], "id -1"),
        ([1.5], "whole numbers"),
        (7, "must be text.*int"),
        (b"ab", "must be text.*bytes"),
        (None, "must be text.*NoneType"),
    ],
    ids=repr,
)
def test_a_wrong_prompt_is_refused_with_what_is_allowed(inputs, prompt, words):
    with pytest.raises(RequestError, match=f"(?s){words}"):
        inputs.process(prompt)


def test_a_prompt_one_token_shorter_than_the_model_is_taken(inputs):
    assert len(inputs.process("x" * 15).prompt_token_ids) == 15


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        (SamplingParams(logit_bias={VOCAB_SIZE: 1.0}), "logit_bias.*258"),
        (SamplingParams(stop_token_ids=(999,)), "stop_token_ids.*999"),
        (SamplingParams(logprobs=VOCAB_SIZE + 1), "logprobs asks for 259.*258"),
        ({"temperature": 1}, "SamplingParams, got dict.*from_mapping"),
    ],
)
def test_sampling_that_the_model_cannot_follow_is_refused(inputs, sampling, words):
    with pytest.raises(RequestError, match=f"(?s){words}"):
        inputs.process("a", sampling)


def test_without_a_tokenizer_token_ids_still_work(without_tokenizer):
    assert without_tokenizer.process([1]).prompt_token_ids == [1]


@pytest.mark.parametrize("prompt", ["text", [{"role": "user", "content": "hi"}]])
def test_without_a_tokenizer_text_is_refused_and_says_why(without_tokenizer, prompt):
    with pytest.raises(RequestError, match=r"(?s)no tokenizer\.json.*token ids"):
        without_tokenizer.process(prompt)


def test_without_a_tokenizer_stop_strings_are_refused(without_tokenizer):
    with pytest.raises(RequestError, match="stop_token_ids"):
        without_tokenizer.process([1], SamplingParams(stop="x"))


def test_a_refused_prompt_uses_up_no_number(inputs):
    with pytest.raises(RequestError):
        inputs.process("")

    assert inputs.process("a").request_id == "0"


class Broken(ByteTokenizer):
    def __init__(self, encode):
        self.encode = encode

    def apply_chat_template(self, messages, *, add_generation_prompt=True, **values):
        raise KeyError("template")


def fails(error):
    def encode(text, **kwargs):
        raise error

    return encode


@pytest.mark.parametrize(
    ("encode", "told"),
    [
        (fails(KeyError("x")), "acme cannot encode the prompt: KeyError: 'x'"),
        (fails(SystemExit(0)), "acme cannot encode the prompt: SystemExit: 0"),
        (lambda text, **_: None, r"encode\(\) must return a list, got None"),
        (lambda text, **_: ["a"], "acme cannot encode the prompt: TypeError"),
        (lambda text, **_: [-5, 10**9], "what acme made of the prompt has the token id -5"),
        (lambda text, **_: [1, 10**9], "what acme made of the prompt has the token id 1000000000"),
        (lambda text, **_: [], "the prompt is empty"),
    ],
)
def test_what_a_tokenizer_does_wrong_is_an_error_of_that_request(encode, told):
    inputs = InputProcessor(
        Broken(encode), vocab_size=VOCAB_SIZE, max_length=16, tokenizer_name="acme"
    )

    with pytest.raises(RequestError, match=told):
        inputs.process("hello")


def test_a_chat_template_that_fails_is_an_error_of_that_request():
    inputs = InputProcessor(
        Broken(None), vocab_size=VOCAB_SIZE, max_length=16, tokenizer_name="acme"
    )

    with pytest.raises(RequestError, match="acme cannot apply the chat template: KeyError"):
        inputs.process([{"role": "user", "content": "hi"}])


def test_bad_words_become_token_ids_as_they_stand_in_a_text_and_behind_a_space():
    class Words(ByteTokenizer):
        def encode(self, text, *, add_special_tokens=True):
            return {"no": [1], " no": [2], "never": [3, 4], " never": [5]}[text]

    inputs = InputProcessor(Words(), vocab_size=VOCAB_SIZE, max_length=16)

    sampling = inputs.process([1], SamplingParams(bad_words=["no", " never", [7, 8]])).sampling

    assert sampling.bad_words == ((1,), (2,), (3, 4), (7, 8))


def test_words_that_the_vocabulary_lacks_are_refused(inputs):
    with pytest.raises(RequestError, match="bad_words has the token id 9999"):
        inputs.process([1], SamplingParams(bad_words=[[9999]]))
