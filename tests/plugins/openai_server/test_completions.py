import pytest
from openai import BadRequestError, NotFoundError

HALLO = [257, *b"Hallo", 256]


def test_a_prompt_of_token_ids_is_answered(client):
    answer = client.completions.create(model="tiny", prompt=HALLO)

    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hallo", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 6)


def test_streamed_chunks_are_the_whole_text_with_the_usage_at_the_end(client):
    chunks = list(
        client.completions.create(
            model="tiny", prompt=HALLO, stream=True, stream_options={"include_usage": True}
        )
    )

    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "Hallo"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 6)


def test_token_ids_of_each_prompt_come_with_its_first_chunk(client):
    chunks = client.completions.create(
        model="tiny", prompt=[[257, 97], [98]], max_tokens=2, stream=True, extra_body={"return_token_ids": True}
    )  # fmt: skip
    told = {0: [], 1: []}
    for chunk in chunks:
        told[chunk.choices[0].index].append(getattr(chunk.choices[0], "prompt_token_ids", None))

    assert told == {0: [[257, 97], None], 1: [[98], None]}


def test_an_echo_is_the_first_chunk_and_has_the_prompts_token_ids(client):
    chunks = client.completions.create(
        model="tiny", prompt=[104, 105], max_tokens=1, echo=True, stream=True, extra_body={"return_token_ids": True}
    )  # fmt: skip
    told = [
        (chunk.choices[0].text, getattr(chunk.choices[0], "prompt_token_ids", None))
        for chunk in chunks
    ]

    assert told[0] == ("hi", [104, 105])
    assert told[1][1] is None


@pytest.mark.parametrize("stream", [False, True])
def test_several_prompts_have_choices_in_their_order(client, stream):
    prompts = [[257, *b"one", 256], [257, *b"two!", 256], "text"]
    answer = client.completions.create(
        model="tiny", prompt=prompts, max_tokens=5, n=2, stream=stream
    )
    texts = dict.fromkeys(range(6), "")
    for chunk in answer if stream else [answer]:
        for choice in chunk.choices:
            texts[choice.index] += choice.text

    assert [texts[index] for index in range(4)] == ["one", "one", "two!", "two!"]


def test_a_text_is_encoded_and_echo_gives_it_back(client):
    answer = client.completions.create(
        model="tiny", prompt="Hi", max_tokens=2, echo=True, logprobs=1, temperature=0
    )
    choice = answer.choices[0]

    assert choice.text.startswith("Hi")
    assert choice.logprobs.tokens[:2] == ["H", "i"]
    assert choice.logprobs.token_logprobs[0] is None
    assert len(choice.logprobs.token_logprobs) == 4


def test_best_of_gives_the_likeliest(client):
    common = {"model": "tiny", "prompt": "Hi", "max_tokens": 4, "seed": 1, "logprobs": 0}
    every = client.completions.create(**common, n=4)
    best = client.completions.create(**common, best_of=4, n=1)

    assert (
        best.choices[0].text
        == max(every.choices, key=lambda c: sum(c.logprobs.token_logprobs)).text
    )
    assert best.usage.completion_tokens == every.usage.completion_tokens


def test_a_seed_repeats_and_a_stop_string_ends(client):
    common = {"model": "tiny", "prompt": "Hi", "max_tokens": 12}
    first = client.completions.create(**common, seed=7).choices[0].text

    assert client.completions.create(**common, seed=7).choices[0].text == first
    stopped = client.completions.create(model="tiny", prompt=HALLO, stop=["l"]).choices[0]
    assert (stopped.text, stopped.finish_reason, stopped.stop_reason) == ("Ha", "stop", "l")


def test_logit_bias_forces_a_token(client):
    answer = client.completions.create(
        model="tiny", prompt="Hi", max_tokens=3, logit_bias={"65": 100}, temperature=0
    )

    assert answer.choices[0].text == "AAA"


@pytest.mark.parametrize(
    ("values", "param", "code"),
    [
        ({"prompt": "a", "extra_body": {"max_token": 3}}, "max_token", "unknown_parameter"),
        ({"prompt": []}, "prompt", None),
        ({"prompt": "a", "temperature": -1}, None, None),
        ({"prompt": "a", "n": 0}, "n", "invalid_value"),
        ({"prompt": [300]}, None, None),
        ({"prompt": "a" * 600}, "prompt", "context_length_exceeded"),
        ({"prompt": "a", "best_of": 1, "n": 2}, "best_of", None),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "logit_bias", None),
        ({"prompt": "a", "suffix": "b"}, "suffix", "unsupported_parameter"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(client, values, param, code):
    with pytest.raises(BadRequestError) as caught:
        client.completions.create(model="tiny", **values)

    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"


def test_an_unknown_parameter_is_told_the_nearest(client):
    with pytest.raises(BadRequestError, match="did you mean 'max_tokens'"):
        client.completions.create(model="tiny", prompt="a", extra_body={"max_token": 3})


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(NotFoundError) as caught:
        client.completions.create(model="huge", prompt="a")

    assert caught.value.code == "model_not_found"


def test_words_and_tokens_can_be_forbidden_under_the_names_of_vllm(client):
    more = {"allowed_token_ids": [*b"abc"], "bad_words": ["ab", "ba"]}
    answer = client.completions.create(
        model="tiny", prompt="Hi", max_tokens=12, n=4, seed=1, extra_body=more
    )

    texts = [choice.text for choice in answer.choices]
    assert {*"".join(texts)} == {*"abc"}
    assert not any(word in text for text in texts for word in ("ab", "ba"))


def test_beams_are_searched_for_under_the_names_of_vllm(client):
    common = {"model": "tiny", "prompt": "Hi", "max_tokens": 6, "logprobs": 0}
    more = {"use_beam_search": True, "length_penalty": 0.0}
    found = client.completions.create(**common, n=3, extra_body=more)
    best = client.completions.create(**common, best_of=3, extra_body=more)
    drawn = client.completions.create(**common, temperature=0)

    totals = [sum(choice.logprobs.token_logprobs) for choice in found.choices]
    assert totals == sorted(totals, reverse=True)
    assert best.choices[0].text == found.choices[0].text
    assert totals[0] >= sum(drawn.choices[0].logprobs.token_logprobs)


def test_what_a_search_does_not_look_at_is_refused_by_name(client):
    with pytest.raises(BadRequestError, match="leave out presence_penalty"):
        client.completions.create(
            model="tiny", prompt="Hi", presence_penalty=1, extra_body={"use_beam_search": True}
        )
