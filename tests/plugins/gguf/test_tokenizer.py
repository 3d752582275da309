"""Tokenizers built from metadata give the ids and texts that Transformers gives."""

import json
import unicodedata
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from jackfield.errors import CheckpointError, ModelError, RequestError
from jackfield.interfaces.model_source import ModelFiles
from jackfield_gguf.byte_level import byte_characters, recognised
from jackfield_gguf.format import GgufFormat
from jackfield_gguf.reader import GgufFile
from jackfield_gguf.splitting import SPLITTINGS
from jackfield_gguf.tokenizer import GgufTokenizerFormat
from jackfield_gguf.vocabulary import read_vocabulary

FORMAT = GgufTokenizerFormat()
TEXTS = [
    "Hello world", "The capital of France is Paris.", " leading and trailing ", "", " ", "   ", "\n", "\n\n\n",
    "\r\n\r\n a\tb\t\tc", "x = [1, 2, 3]\n\tfor i in range(10):\n\n\n        print(f'{i:>5}')  # done",
    "naïve café Ünïcödé ﬁ Å é é", "東京は日本の首都です。", "Привет, мир! שלום مرحبا", "🎉👨‍👩‍👧 e\u0301 \u200b\ufeff",
    "don't I'LL we're they'Ve", "1234567 3.14159 1e-5 v2.0", "ᚠᛇᚻ \x00\x01 ÿ", "a" * 100, "word " * 50,
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>", "<bos><start_of_turn>user\nx<end_of_turn> <eos>", "<0x0A> <unk> </s>",
    "def fibonacci(n):\n    ", '{"name": "Alice", "age":', "Émile déjeune à la crêperie — très bon !", "🙂🙃 emoji are",
    "<table><td>\n\n\n\n    </td></table>", "https://example.org/a?b=c&d=%20#e",
]  # fmt: skip
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi <|im_end|>"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Why?"},
]


def assert_same(tokenizer, reference, texts):
    for text in texts:
        for add in (True, False):
            ids = tokenizer.encode(text, add_special_tokens=add)
            assert ids == reference.encode(text, add_special_tokens=add), text
        for skip in (True, False):
            found = tokenizer.decode(ids, skip_special_tokens=skip)
            assert found == reference.decode(ids, skip_special_tokens=skip), text


@pytest.fixture(scope="module")
def smollm2_tokenizers(smollm2):
    reference = AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    return FORMAT.open(ModelFiles(reference="smollm2", path=smollm2)), reference


@pytest.mark.cpu_model
def test_smollm2_gets_the_ids_of_transformers(smollm2_tokenizers):
    assert_same(*smollm2_tokenizers, TEXTS)


@pytest.mark.cpu_model
@pytest.mark.parametrize("add_generation_prompt", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_smollm2_gets_the_chat_template_of_transformers(
    smollm2_tokenizers, first, add_generation_prompt
):
    tokenizer, reference = smollm2_tokenizers

    found = tokenizer.apply_chat_template(
        MESSAGES[first:], add_generation_prompt=add_generation_prompt
    )

    assert found == reference.apply_chat_template(
        MESSAGES[first:], tokenize=False, add_generation_prompt=add_generation_prompt
    )


@pytest.mark.cpu_model
def test_smollm2_cuts_digits_off_before_spaces(smollm2_tokenizers):
    """Its own tokenizer.json says Digits, then ByteLevel; Transformers' GGUF reader leaves the first out."""
    tokenizer, reference = smollm2_tokenizers

    pieces = [tokenizer.decode([token]) for token in tokenizer.encode("a  12")]

    assert pieces == ["a", "  ", "1", "2"]
    assert tokenizer.encode("a 12") == reference.encode("a 12")


@pytest.mark.cpu_model
def test_smollm2_knows_its_size_and_its_end(smollm2_tokenizers):
    tokenizer, reference = smollm2_tokenizers

    assert tokenizer.vocab_size == len(reference) == 49152
    assert tokenizer.end_token_ids == (reference.eos_token_id,)


@pytest.mark.slow
def test_gemma3_gets_the_ids_of_transformers(gemma3):
    reference = AutoTokenizer.from_pretrained(gemma3.parent, gguf_file=gemma3.name)

    assert_same(FORMAT.open(ModelFiles(reference="gemma", path=gemma3)), reference, TEXTS)


BYTES = list(byte_characters().values())
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def byte_level_metadata(pre="gpt-2", **changes):
    """All bytes, a few merges, a control token, a user-defined one."""
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġ Ġ", "1 2"]
    words = [merge.replace(" ", "") for merge in merges]
    tokens = [*BYTES, *words, "<|end|>", "<think>", "hello"[::-1]]
    types = [NORMAL] * (len(tokens) - 3) + [CONTROL, USER_DEFINED, NORMAL]
    end = tokens.index("<|end|>")
    values = {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "token_type": types,
        "merges": merges,
        "bos_token_id": end,
        "eos_token_id": end,
        **changes,
    }
    return {f"tokenizer.ggml.{k}": v for k, v in values.items() if v is not None}


def sentencepiece_metadata(**changes):
    """Bytes and pieces with scores; spaces are written as "▁"."""
    pieces = ["▁", "h", "e", "l", "o", "he", "ll", "hell", "hello", "▁hello", "▁▁", "lo", "▁he"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *pieces]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(pieces)]
    scores = [0.0] * 259 + [-float(i) for i in range(len(pieces))]
    values = {
        "model": "llama",
        "tokens": tokens,
        "token_type": types,
        "scores": scores,
        "unknown_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }
    return {f"tokenizer.ggml.{k}": v for k, v in values.items() if v is not None}


@pytest.fixture
def open_tokenizer(maker):
    def open_it(metadata, architecture="llama"):
        maker.write(architecture, other=metadata)
        return FORMAT.open(maker.files)

    return open_it


SMALL = [
    "hello world",
    "  hello  hello",
    "h",
    "héllo 東 🎉",
    "<s>hello</s> x",
    "",
    "\n hello\t",
    "ohell",
]


@pytest.mark.parametrize("pre", ["gpt-2", "default", "llama-bpe", "tekken"])
def test_byte_level_ids_are_those_of_transformers(open_tokenizer, maker, pre):
    tokenizer = open_tokenizer(byte_level_metadata(pre, add_bos_token=True))
    reference = AutoTokenizer.from_pretrained(maker.path.parent, gguf_file=maker.path.name)

    assert_same(tokenizer, reference, [*SMALL, "<|end|> <think>hello", "hello12  12"])


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_sentencepiece_ids_are_those_of_transformers(open_tokenizer, maker, architecture):
    tokenizer = open_tokenizer(sentencepiece_metadata(), architecture)
    reference = AutoTokenizer.from_pretrained(maker.path.parent, gguf_file=maker.path.name)

    assert_same(tokenizer, reference, SMALL)


@pytest.mark.parametrize("text", TEXTS)
def test_a_byte_level_text_comes_back_composed_for_qwen(open_tokenizer, text):
    tokenizer = open_tokenizer(byte_level_metadata("qwen2"))

    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


def test_a_word_that_is_a_token_is_taken_whole_where_the_model_does_so(open_tokenizer):
    metadata = byte_level_metadata("llama-bpe", add_bos_token=False)
    whole = metadata["tokenizer.ggml.tokens"].index("olleh")

    assert open_tokenizer(metadata).encode("olleh") == [whole]
    metadata["tokenizer.ggml.pre"] = "gpt-2"
    assert len(open_tokenizer(metadata).encode("olleh")) > 1


@pytest.mark.parametrize(
    ("metadata", "adds"),
    [
        (byte_level_metadata("llama-bpe"), True),
        (byte_level_metadata("llama-bpe", add_bos_token=False), False),
        (byte_level_metadata("gpt-2"), False),
        (byte_level_metadata("gpt-2", add_bos_token=True), True),
        (sentencepiece_metadata(), True),
        (sentencepiece_metadata(add_bos_token=False), False),
    ],
)
def test_the_begin_token_is_added_where_file_or_kind_say_so(open_tokenizer, metadata, adds):
    tokenizer = open_tokenizer(metadata)
    begin = metadata["tokenizer.ggml.bos_token_id"]

    assert (tokenizer.encode("h")[0] == begin) is adds
    assert begin not in tokenizer.encode("h", add_special_tokens=False)


def test_an_end_token_is_added_where_the_file_says_so(open_tokenizer):
    tokenizer = open_tokenizer(sentencepiece_metadata(add_eos_token=True))

    assert tokenizer.encode("h")[-1] == 2


def test_without_a_space_in_front_text_stays_as_it_is(open_tokenizer):
    tokenizer = open_tokenizer(sentencepiece_metadata(add_space_prefix=False))

    ids = tokenizer.encode("hello", add_special_tokens=False)

    assert tokenizer.backend.id_to_token(ids[0]) == "hello"
    assert tokenizer.decode(ids) == "hello"


def test_tokens_that_end_a_turn_or_a_message_end_too(open_tokenizer):
    tokenizer = open_tokenizer(sentencepiece_metadata(eot_token_id=5, eom_token_id=2))

    assert tokenizer.end_token_ids == (2, 5)


@pytest.mark.parametrize("is_typed", [True, False])
def test_what_usually_ends_a_turn_does_so_where_the_file_names_nothing(open_tokenizer, is_typed):
    metadata = byte_level_metadata(eos_token_id=3)
    ends = metadata["tokenizer.ggml.tokens"].index("<|end|>")
    if not is_typed:
        metadata["tokenizer.ggml.token_type"][ends] = NORMAL

    tokenizer = open_tokenizer(metadata)

    assert tokenizer.end_token_ids == (3, ends)
    assert tokenizer.encode("h<|end|>")[-1] == ends
    assert tokenizer.decode([ends]) == ""


def trained(splitting, texts, size=600):
    """A vocabulary as a trainer makes it from text that is cut in one way."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = SPLITTINGS[splitting].pre_tokenizer()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    return tokenizer, byte_level_metadata(
        None, tokens=[*tokens, "<s>"], merges=[" ".join(pair) for pair in merges],
        token_type=[NORMAL] * len(tokens) + [CONTROL], bos_token_id=len(tokens), eos_token_id=len(tokens),
    )  # fmt: skip


PROSE = [
    "In 1234567 ways (and 98765 more) the ships' captains said: don't!\n\n",
    "def f(x):\n    return x['key'] + 123456\n\n\n        # done\n",
    "it's 1999, we'll have 20000 HTTPServers at /usr/local/bin\r\n\r\n\tgo\n",
]


@pytest.mark.parametrize("splitting", ["llama-bpe", "qwen2", "smollm", "gpt-2", "tekken"])
def test_how_text_is_cut_is_recognised_by_the_tokens_and_told(open_tokenizer, splitting, caplog):
    reference, metadata = trained(splitting, PROSE * 30)

    tokenizer = open_tokenizer(metadata)

    for text in (*PROSE, "x\n\nin 123456", "a  12\n\n  b (don't) 2024"):
        expected = reference.encode(text).ids
        assert tokenizer.encode(text, add_special_tokens=False) == expected, text
    assert "does not say how text is cut" in caplog.text


@pytest.mark.parametrize(
    ("splitting", "words"),
    [
        # As the patterns of o200k and of DeepSeek-V3's tokenizer.json cut.
        ("gpt-4o", ["It's", " DON'T", " HTTPServers", "!\n\n", "123", "456", "7", " a", "/b"]),
        ("llama4", ["camel", "Case's", "  ", " x"]),
        ("deepseek-v3", ["#include", " <", "stdio", ".h", ">\n", "123", "45", "東京", "abc", " don", "'t"]),
    ],
)  # fmt: skip
def test_text_is_cut_as_the_models_tokenizer_cuts_it(splitting, words):
    found = SPLITTINGS[splitting].pre_tokenizer().pre_tokenize_str("".join(words))

    spans = [span for _, span in found]
    text = "".join(words)
    assert [text[start:end] for start, end in spans] == words


@pytest.mark.cpu_model
def test_a_real_vocabulary_is_recognised(smollm2):
    file = GgufFile(smollm2)
    vocabulary = replace(read_vocabulary(file), pre=None)
    file.close()

    assert recognised(vocabulary) == "smollm"


@pytest.mark.parametrize("metadata", [{}, {"tokenizer.ggml.model": "no_vocab"}])
def test_a_file_without_a_tokenizer_is_refused_as_one_and_still_opens_as_a_model(maker, metadata):
    maker.write(other=metadata)

    assert "has no tokenizer" in str(FORMAT.check(maker.files, {})[0])
    assert GgufFormat().check(maker.files, {}) == ()


def test_templates_are_found_by_their_names(open_tokenizer):
    templates = {
        "tokenizer.chat_template": "plain {{ bos_token }}",
        "tokenizer.chat_templates": ["tool_use"],
        "tokenizer.chat_template.tool_use": "tools",
    }
    tokenizer = open_tokenizer({**sentencepiece_metadata(), **templates})

    assert tokenizer.apply_chat_template(MESSAGES) == "plain <s>"
    assert tokenizer.apply_chat_template(MESSAGES, tools=[{}]) == "tools"


def test_without_a_template_a_conversation_is_refused(open_tokenizer):
    with pytest.raises(RequestError, match="no chat template"):
        open_tokenizer(sentencepiece_metadata()).apply_chat_template(MESSAGES)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"has no tokenizer: looked for tokenizer.ggml.model"),
        (byte_level_metadata("strange"), r"cuts text by 'strange' .*known: codeshell"),
        (byte_level_metadata(merges=None), r"has no tokenizer.ggml.merges"),
        (sentencepiece_metadata(model="rwkv"), r"of the kind 'rwkv'; supported: gpt2, llama"),
    ],
)
def test_a_tokenizer_that_cannot_be_built_tells_why(open_tokenizer, metadata, message):
    with pytest.raises(ModelError, match=message):
        open_tokenizer(metadata)


def test_a_special_token_outside_of_the_vocabulary_is_named(open_tokenizer):
    with pytest.raises(CheckpointError, match="bos_token_id is 9999; the vocabulary has the ids 0"):
        open_tokenizer(sentencepiece_metadata(bos_token_id=9999))


def test_each_byte_has_a_character_of_its_own_as_gpt2_wrote_them():
    characters = byte_characters()

    assert len(set(characters.values())) == 256
    assert (characters[ord("a")], characters[ord(" ")], characters[10]) == ("a", "Ġ", "Ċ")
