"""tokenizer.json and the files around it give the ids and texts that Transformers gives."""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from jackfield.checkpoint.tokenizer import HfTokenizerFormat
from jackfield.errors import CheckpointError, ModelError, RequestError
from jackfield.interfaces.model_source import ModelFiles

FORMAT = HfTokenizerFormat()
TEXTS = [
    "Hello world", "  two  spaces", "", "\n\n\t", "naïve 東京 🎉", "<s>hello</s>", "<|extra|> <|kept|>", "h<s>e",
]  # fmt: skip
MESSAGES = [
    {"role": "system", "content": "Be <brief> & kind"},
    {"role": "user", "content": "Héllo"},
    {"role": "assistant", "content": "Hi"},
]
TEMPLATE = """{{ bos_token }}
{% for message in messages %}
    {% if message['role'] == 'system' %}
        {%- continue %}
    {% endif %}
[{{ message['role'] }}] {{ message | tojson }}
{% endfor %}
{% if add_generation_prompt %}
[assistant]
{% endif %}"""


def make_backend():
    """Byte-level BPE with a few merges and two tokens that are found whole."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["he", "ll", "hell", "hello", "Ġw", "or", "<s>", "</s>"]
    vocab = {token: index for index, token in enumerate([*alphabet, *words])}
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("o", "r")]
    backend = Tokenizer(models.BPE(vocab, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>"])
    return backend


@pytest.fixture
def make_folder(folder):
    def make(**settings):
        make_backend().save(str(folder.path / "tokenizer.json"))
        values = {"bos_token": "<s>", "eos_token": "</s>", **settings}
        values["tokenizer_class"] = "PreTrainedTokenizerFast"
        folder.add_json("tokenizer_config.json", values)
        return folder

    return make


SETTINGS = {
    "plain": {},
    "begin": {"add_bos_token": True},
    "begin and end": {"add_bos_token": True, "add_eos_token": True},
    "neither": {"add_bos_token": False, "add_eos_token": False},
    "token with flags": {"bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": True}},
    "extra tokens": {"extra_special_tokens": ["<|extra|>"]},
    "extra tokens, older": {"additional_special_tokens": ["<|extra|>", "<s>"]},
    "named tokens": {
        "image_token": "<image>",
        "extra_special_tokens": {"boi_token": "<|extra|>", "thought": "<t>"},
    },
    "tokens of the config": {
        "added_tokens_decoder": {
            "264": {"content": "<|kept|>", "special": False, "lstrip": True, "normalized": False},
            "265": {"content": "<|extra|>", "special": True, "normalized": False},
        }
    },
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("add_special_tokens", [True, False])
def test_ids_and_texts_are_those_of_transformers(make_folder, settings, add_special_tokens):
    folder = make_folder(**settings)
    tokenizer, reference = FORMAT.open(folder.files), AutoTokenizer.from_pretrained(folder.path)

    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=add_special_tokens)

        assert ids == reference.encode(text, add_special_tokens=add_special_tokens)
        for skip in (True, False):
            found = tokenizer.decode(ids, skip_special_tokens=skip)
            assert found == reference.decode(ids, skip_special_tokens=skip)
    assert tokenizer.vocab_size == len(reference)


@pytest.mark.parametrize("add_generation_prompt", [True, False])
def test_a_chat_template_gives_what_transformers_gives(make_folder, add_generation_prompt):
    folder = make_folder(chat_template=TEMPLATE)
    reference = AutoTokenizer.from_pretrained(folder.path)

    found = FORMAT.open(folder.files).apply_chat_template(
        MESSAGES, add_generation_prompt=add_generation_prompt
    )

    assert found == reference.apply_chat_template(
        MESSAGES, tokenize=False, add_generation_prompt=add_generation_prompt
    )


def test_a_template_of_its_own_file_comes_first(make_folder):
    folder = make_folder(chat_template="of the config")
    folder.add("chat_template.jinja", "of the file")

    assert FORMAT.open(folder.files).apply_chat_template(MESSAGES) == "of the file"


def test_the_template_named_default_is_taken_from_a_list(make_folder):
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    tokenizer = FORMAT.open(make_folder(chat_template=named).files)

    assert tokenizer.apply_chat_template(MESSAGES) == "plain"
    assert tokenizer.apply_chat_template(MESSAGES, tools=[{"name": "f"}]) == "tools"


def test_without_a_template_a_conversation_is_refused(make_folder):
    with pytest.raises(RequestError, match="no chat template"):
        FORMAT.open(make_folder().files).apply_chat_template(MESSAGES)


def test_generation_config_lists_more_end_tokens(make_folder):
    folder = make_folder()
    folder.add_json("generation_config.json", {"eos_token_id": [7, 263]})

    assert FORMAT.open(folder.files).end_token_ids == (7, 263)


def test_the_end_token_of_the_tokenizer_ends_without_a_generation_config(make_folder):
    assert FORMAT.open(make_folder().files).end_token_ids == (263,)


def test_truncation_and_padding_of_a_training_run_are_off(make_folder):
    folder = make_folder()
    backend = make_backend()
    backend.enable_truncation(2)
    backend.enable_padding(length=9)
    backend.save(str(folder.path / "tokenizer.json"))

    assert len(FORMAT.open(folder.files).encode("abcd")) == 4


def test_text_with_a_lone_surrogate_is_refused(make_folder):
    tokenizer = FORMAT.open(make_folder().files)

    with pytest.raises(RequestError, match="lone surrogates"):
        tokenizer.encode("a\ud800b")


def test_a_missing_tokenizer_names_the_files_that_were_looked_for(folder):
    assert [reason.code for reason in FORMAT.check(folder.files, {})] == ["no_tokenizer"]
    with pytest.raises(ModelError, match=r"looked for tokenizer\.json .*tokenizer_config\.json"):
        FORMAT.open(folder.files)


def test_a_single_file_has_no_tokenizer_beside_it(make_folder):
    folder = make_folder()
    file = folder.add("model.gguf", "")

    assert FORMAT.check(ModelFiles(reference="x", path=file), {})


@pytest.mark.parametrize("text", ["{", json.dumps({"version": "1.0"})])
def test_a_broken_tokenizer_is_named(make_folder, text):
    folder = make_folder()
    folder.add("tokenizer.json", text)

    with pytest.raises(CheckpointError, match=r"cannot read the tokenizer .*tokenizer\.json"):
        FORMAT.open(folder.files)


NAMES = "{{ image_token }}{{ boi_token }}{{ thought }}{{ pad_token }}{{ bos_token }}"


def test_named_special_tokens_are_given_to_templates_as_transformers_gives_them(make_folder):
    folder = make_folder(**SETTINGS["named tokens"], chat_template=NAMES)
    reference = AutoTokenizer.from_pretrained(folder.path)

    found = FORMAT.open(folder.files).apply_chat_template(MESSAGES)

    assert (
        found == reference.apply_chat_template(MESSAGES, tokenize=False) == "<image><|extra|><t><s>"
    )


CALLS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}], "reasoning": "Hm."},
    {"role": "tool", "content": "42"},
]
SHOWS_ALL = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if m.reasoning_content %}<{{ m.thinking }}>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize("value", [None, [], ["tool"]])
def test_messages_come_to_templates_as_transformers_gives_them(make_folder, value):
    folder = make_folder(chat_template=SHOWS_ALL)
    reference = AutoTokenizer.from_pretrained(folder.path)
    tools = None if value is None else [{"name": name} for name in value]

    found = FORMAT.open(folder.files).apply_chat_template(CALLS, tools=tools)

    expected = reference.apply_chat_template(
        CALLS, tools=tools, tokenize=False, add_generation_prompt=True
    )
    assert found == expected


@pytest.mark.parametrize(
    "source", [SHOWS_ALL, "{% for m in messages %}{{ m.content | trim }}|{% endfor %}"]
)
@pytest.mark.parametrize("last", ["Once upon", "Once  ", [{"type": "text", "text": "Once"}]])
def test_the_last_message_is_left_open_as_transformers_leaves_it(make_folder, source, last):
    if not isinstance(last, str):
        source = (
            "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}|{% endfor %}"
        )
    folder = make_folder(chat_template=source)
    reference = AutoTokenizer.from_pretrained(folder.path)
    chat = [*MESSAGES, {"role": "assistant", "content": last}]
    if not isinstance(last, str):
        chat = chat[-1:]

    found = FORMAT.open(folder.files).apply_chat_template(chat, continue_final_message=True)

    expected = reference.apply_chat_template(chat, tokenize=False, continue_final_message=True)
    assert found == expected


NAMED = {"default": "default", "tool_use": "tools", "rag": "rag"}


@pytest.mark.parametrize("values", [{}, {"tools": [{}]}, {"tools": []}, {"chat_template": "rag"}])
@pytest.mark.parametrize("where", ["list", "files"])
def test_of_several_templates_the_one_of_transformers_is_taken(make_folder, where, values):
    listed = [{"name": name, "template": text} for name, text in NAMED.items()]
    folder = make_folder(**({"chat_template": listed} if where == "list" else {}))
    if where == "files":
        folder.add("chat_template.jinja", "default")
        (folder.path / "additional_chat_templates").mkdir()
        for name in ("tool_use", "rag"):
            folder.add(f"additional_chat_templates/{name}.jinja", NAMED[name])
    reference = AutoTokenizer.from_pretrained(folder.path)

    found = FORMAT.open(folder.files).apply_chat_template(MESSAGES, **values)

    assert found == reference.apply_chat_template(MESSAGES, tokenize=False, **values)


def test_several_templates_without_a_default_one_are_named_instead_of_one_being_taken(make_folder):
    folder = make_folder(
        chat_template=[{"name": name, "template": name} for name in ("rag", "fim")]
    )
    tokenizer = FORMAT.open(folder.files)

    with pytest.raises(RequestError, match=r"none is called 'default'; it has: fim, rag"):
        tokenizer.apply_chat_template(MESSAGES)
    with pytest.raises(RequestError, match=r"no chat template 'rga'; it has: fim, rag"):
        tokenizer.apply_chat_template(MESSAGES, chat_template="rga")


def make_sentencepiece():
    """Pieces of Llama 2's kind, as its old files hold them: a space in front of each part."""
    base = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *"Helowrdntix"]
    pairs = [
        ("H", "e"),
        ("l", "l"),
        ("He", "ll"),
        ("Hell", "o"),
        ("▁", "Hello"),
        ("i", "n"),
        ("▁", "▁"),
    ]
    vocab = {token: index for index, token in enumerate([*base, *(a + b for a, b in pairs)])}
    backend = Tokenizer(
        models.BPE(vocab, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return backend


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize(
    "class_name", ["LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast"]
)
@pytest.mark.parametrize(
    "changes", [{}, {"legacy": True}, {"legacy": False}, {"add_prefix_space": False}]
)
def test_ids_of_llama_2_are_those_of_transformers(folder, kind, class_name, changes):
    make_sentencepiece().save(str(folder.path / "tokenizer.json"))
    folder.add_json("config.json", {"model_type": kind})
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    folder.add_json("tokenizer_config.json", {"tokenizer_class": class_name, **named, **changes})
    reference = AutoTokenizer.from_pretrained(folder.path)
    tokenizer = FORMAT.open(folder.files)

    for text in (" Hello", "Hello</s>in", "  Hello  in", "é東<s> </s>x", "", "in</s> in </s>"):
        ids = tokenizer.encode(text)
        assert ids == reference(text).input_ids, text
        assert tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=True), text


@pytest.mark.parametrize(
    "class_name", ["GPT2Tokenizer", "Qwen2Tokenizer", "PreTrainedTokenizerFast"]
)
@pytest.mark.parametrize("value", [True, False])
def test_a_space_in_front_of_texts_is_added_where_transformers_adds_it(folder, class_name, value):
    make_backend().save(str(folder.path / "tokenizer.json"))
    folder.add_json("config.json", {"model_type": "llama"})
    folder.add_json(
        "tokenizer_config.json",
        {"tokenizer_class": class_name, "eos_token": "</s>", "add_prefix_space": value},
    )
    reference = AutoTokenizer.from_pretrained(folder.path)

    for text in ("hello world", " hello", "he</s>he"):
        assert FORMAT.open(folder.files).encode(text) == reference(text).input_ids, text
