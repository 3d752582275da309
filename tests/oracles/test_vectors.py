"""Vectors of whole engines equal those of Sentence Transformers, from folders that it saved."""

import asyncio

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Transformer,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)

from jackfield import LLM, AsyncLLM, PoolingParams, RequestError

pytestmark = pytest.mark.cpu_model
TOLERANCE = 2e-6  # of numbers up to 1
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "the",
    "sea",
    "in",
    "winter",
    "is",
    "cold",
    ":",
    "query",
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
    "i",
    "j",
    "k",
    "l",
    "m",
    "n",
    "o",
]
SHAPE = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
ENDS = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
CASES = {
    "decoder, last token": (Qwen3Model, Qwen3Config, {"num_key_value_heads": 2, "head_dim": 8}, "lasttoken"),
    "decoder, mean": (Qwen3Model, Qwen3Config, {"num_key_value_heads": 2, "head_dim": 8}, "mean"),
    "encoder, first token": (BertModel, BertConfig, {}, "cls"),
    "encoder, mean": (ModernBertModel, ModernBertConfig, {"local_attention": 6, **ENDS}, "mean"),
}  # fmt: skip
TEXTS = [
    "the sea in winter",
    "a b",
    "is cold the sea in winter a b c d e f g h i j k l m n o",
    "sea",
]
SETTINGS = {
    "cache.block_size": 4,
    "cache.num_blocks": 64,
    "model.dtype": "float32",
    "plugins.probe": "inline",
}


def make_tokenizer(*, is_decoder):
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    backend.post_processor = processors.TemplateProcessing(
        single="$A [SEP]" if is_decoder else "[CLS] $A [SEP]",
        pair=None if is_decoder else "[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=ends,
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def make_model(model_class, config_class, changes, **more):
    torch.manual_seed(1)
    model = model_class(config_class(**{**SHAPE, **changes, **more})).eval()
    for parameter in model.parameters():
        parameter.data.uniform_(0.5, 1.5) if parameter.ndim == 1 else parameter.data.normal_(0, 0.3)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Of a case: the model of Sentence Transformers, and the folder that it saved."""
    found = {}

    def save(name):
        if name not in found:
            model_class, config_class, changes, kind = CASES[name]
            folder = tmp_path_factory.mktemp("backbone")
            make_model(model_class, config_class, changes).save_pretrained(folder)
            make_tokenizer(is_decoder="decoder" in name).save_pretrained(folder)
            modules = [Transformer(str(folder)), Pooling(32, kind)]
            modules += [Dense(32, 24)] if kind == "mean" else []
            reference = SentenceTransformer(
                modules=[*modules, Normalize()],
                prompts={"query": "query : ", "document": ""},
                device="cpu",
            )
            folder = tmp_path_factory.mktemp("model")
            reference.save_pretrained(str(folder))
            found[name] = reference, folder
        return found[name]

    return save


@pytest.fixture(params=CASES)
def case(saved, request):
    reference, folder = saved(request.param)
    # of decoders prompts are cut
    steps = {} if "encoder" in request.param else {"scheduler.max_step_tokens": 16}
    with LLM(str(folder), settings={**SETTINGS, **steps}) as llm:
        yield reference, llm


@pytest.fixture
def encoder(saved):
    with LLM(str(saved("encoder, mean")[1]), settings=SETTINGS) as llm:
        yield llm


def vectors(outputs):
    assert [output.error for output in outputs] == [None] * len(outputs)
    return np.array([output.vector for output in outputs])


def test_vectors_equal_those_of_sentence_transformers(case):
    """Twice, since a decoder may take the second ones from its prefix cache; with a prompt; and cut."""
    reference, llm = case

    for _ in range(2):
        assert abs(vectors(llm.embed(TEXTS)) - reference.encode(TEXTS)).max() < TOLERANCE
    queries = reference.encode(TEXTS, prompt_name="query")
    assert abs(vectors(llm.embed(TEXTS, prompt_name="query")) - queries).max() < TOLERANCE
    cut = reference.encode(TEXTS, truncate_dim=8, normalize_embeddings=True)
    assert abs(vectors(llm.embed(TEXTS, PoolingParams(dimensions=8))) - cut).max() < TOLERANCE


def test_an_output_says_how_its_vector_was_made(encoder):
    own, asked = encoder.embed(["a", "a"], [PoolingParams(), PoolingParams(kind="cls")])

    assert (
        own.pooling
        == "the mean of all tokens, a linear to 24 elements, normalised (1_Pooling/config.json)"
    )
    assert asked.pooling == "the first token, a linear to 24 elements, normalised (the request)"


def test_a_model_for_vectors_alone_gives_no_tokens(encoder):
    with pytest.raises(RequestError, match=r"gives no tokens.*embed\(\)"):
        encoder.generate("the sea")


def test_in_a_list_a_prompt_that_is_wrong_fails_alone(encoder):
    good, bad = encoder.embed(["a", list(range(4, 40)) * 2])

    assert (len(good.vector), good.error) == (24, None)
    assert (len(bad.vector), "72 tokens" in bad.error) == (0, True)


@pytest.mark.parametrize(
    ("params", "name", "words"),
    [
        (PoolingParams(dimensions=25), None, "have 24 elements"),
        (PoolingParams(output="classes"), None, "no classification head"),
        (PoolingParams(), "question", "no prompt is called 'question'.*'document', 'query'"),
    ],
)
def test_what_a_model_cannot_give_is_refused(encoder, params, name, words):
    with pytest.raises(RequestError, match=words):
        encoder.embed("the sea", params, prompt_name=name)


def test_a_model_whose_files_do_not_say_tells_what_it_takes(tmp_path, caplog):
    make_model(BertModel, BertConfig, {}).save_pretrained(tmp_path)

    with LLM(str(tmp_path), settings=SETTINGS) as llm:
        first, _ = (llm.embed([4, 5, 6])[0] for _ in range(2))

    told = [r.getMessage() for r in caplog.records if "do not say how vectors" in r.getMessage()]
    assert len(told) == 1
    assert (
        first.pooling
        == "the mean of all tokens, normalised (the default, since the model's files do not say)"
    )


def test_a_backbone_without_a_head_gives_vectors(tmp_path):
    changes = {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": False}
    model = make_model(Qwen3Model, Qwen3Config, changes)
    model.save_pretrained(tmp_path)

    with LLM(str(tmp_path), settings=SETTINGS) as llm:
        found = vectors(llm.embed([4, 5, 6], PoolingParams(normalize=False)))[0]

    with torch.no_grad():
        expected = model(torch.tensor([[4, 5, 6]])).last_hidden_state[0, -1].numpy()
    assert abs(found - expected).max() < TOLERANCE * abs(expected).max()


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    """A cross-encoder of Sentence Transformers, and its folder."""
    folder = tmp_path_factory.mktemp("reranker")
    make_model(BertForSequenceClassification, BertConfig, {}, num_labels=1).save_pretrained(folder)
    make_tokenizer(is_decoder=False).save_pretrained(folder)
    return CrossEncoder(str(folder), device="cpu"), folder


def test_scores_equal_those_of_a_cross_encoder(reranker):
    reference, folder = reranker

    with LLM(str(folder), settings=SETTINGS) as llm:
        outputs = llm.score(TEXTS[0], TEXTS)

    expected = reference.predict([(TEXTS[0], text) for text in TEXTS])
    assert abs(np.array([output.score for output in outputs]) - expected).max() < TOLERANCE


def test_scores_of_vectors_are_cosines_behind_the_prompts_of_both_sides(saved):
    reference, folder = saved("encoder, first token")

    with LLM(str(folder), settings=SETTINGS) as llm:
        outputs = llm.score(TEXTS[0], TEXTS[1:])

    query, documents = reference.encode_query(TEXTS[0]), reference.encode_document(TEXTS[1:])
    found = np.array([output.score for output in outputs])
    assert abs(found - documents @ query).max() < TOLERANCE


def test_many_callers_of_an_event_loop_get_vectors_and_scores(saved, reranker):
    reference, folder = saved("encoder, mean")

    async def ask():
        async with AsyncLLM(str(folder), settings=SETTINGS) as llm:
            found = await asyncio.gather(*map(llm.embed, TEXTS))
            with pytest.raises(RequestError, match="72 tokens"):
                await llm.embed(list(range(4, 40)) * 2)
        async with AsyncLLM(str(reranker[1]), settings=SETTINGS) as llm:
            return found, await llm.score(TEXTS[0], TEXTS[1:])

    outputs, scores = asyncio.run(ask())
    assert abs(vectors(outputs) - reference.encode(TEXTS)).max() < TOLERANCE
    expected = reranker[0].predict([(TEXTS[0], text) for text in TEXTS[1:]])
    assert abs(np.array([score.score for score in scores]) - expected).max() < TOLERANCE


def test_scores_of_tokens_are_those_of_the_next_one(tmp_path):
    """Rerankers that answer yes or no."""
    changes = {"num_key_value_heads": 2, "head_dim": 8}
    model = make_model(Qwen3ForCausalLM, Qwen3Config, changes)
    model.save_pretrained(tmp_path)

    with LLM(str(tmp_path), settings=SETTINGS) as llm:
        found = vectors(llm.embed([4, 5, 6], PoolingParams(token_ids=(7, 8))))[0]

    with torch.no_grad():
        expected = model(torch.tensor([[4, 5, 6]])).logits[0, -1, [7, 8]].softmax(-1).numpy()
    assert abs(found - expected).max() < TOLERANCE
