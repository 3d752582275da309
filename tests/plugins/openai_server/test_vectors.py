"""Vectors and scores over HTTP equal those of Transformers, read by OpenAI's client and by plain requests."""

import base64
from itertools import pairwise

import numpy as np
import pytest
import torch
from openai import BadRequestError
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

pytestmark = pytest.mark.cpu_model
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
    "a",
    "b",
    "c",
]
TEXTS = ["the sea in winter", "a b", "cold is the sea"]
TOLERANCE = 1e-5


def save(folder, model_class, **changes):
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=32, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, **changes,
    )  # fmt: skip
    model = model_class(config).eval()
    for parameter in model.parameters():
        parameter.data.uniform_(0.5, 1.5) if parameter.ndim == 1 else parameter.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.fixture(scope="module")
def embedding(tmp_path_factory, serving):
    """A server, and what its model makes of a text."""
    folder = tmp_path_factory.mktemp("embedding")
    model, tokenizer = save(folder / "model", BertModel)

    def expected(text):
        with torch.no_grad():
            hidden_TE = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return torch.nn.functional.normalize(hidden_TE.mean(0), dim=0).numpy()

    words = ("--served-model-name", "bert", "--set", "model.dtype=float32")
    with serving(folder, *words, model=folder / "model") as server:
        yield server, expected


@pytest.fixture(scope="module")
def reranker(tmp_path_factory, serving):
    folder = tmp_path_factory.mktemp("reranker")
    model, tokenizer = save(folder / "model", BertForSequenceClassification, num_labels=1)

    def expected(first, second):
        with torch.no_grad():
            return model(**tokenizer(first, second, return_tensors="pt")).logits.sigmoid().item()

    with serving(folder, "--set", "model.dtype=float32", model=folder / "model") as server:
        yield server, expected


def test_openais_client_reads_vectors(embedding):
    server, expected = embedding

    answer = server.openai().embeddings.create(model="bert", input=TEXTS)  # it asks for base64

    assert [item.index for item in answer.data] == [0, 1, 2]
    for item, text in zip(answer.data, TEXTS, strict=True):
        assert abs(np.array(item.embedding) - expected(text)).max() < TOLERANCE
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (16, 16)


def test_both_formats_say_the_same(embedding):
    server, _ = embedding

    def ask(encoding_format):
        body = {"input": "the sea", "encoding_format": encoding_format}
        return server.http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    packed = np.frombuffer(base64.b64decode(ask("base64")), "<f4")
    assert packed.tolist() == np.array(ask("float"), np.float32).tolist()


def test_dimensions_cut_vectors_and_keep_their_length(embedding):
    server, expected = embedding

    answer = server.openai().embeddings.create(model="bert", input="the sea", dimensions=8)

    cut = expected("the sea")[:8]
    assert abs(np.array(answer.data[0].embedding) - cut / np.linalg.norm(cut)).max() < TOLERANCE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dimensions": 33}, "have 32 elements"),
        ({"input": "a " * 70}, "at most 64"),
        ({"input": []}, "input"),
        ({"prompt_name": "query"}, "no prompt is called 'query'"),
        ({"pooling": "max"}, "pooling"),
    ],
)
def test_what_is_wrong_is_told(embedding, wrong, message):
    server, _ = embedding

    answer = server.http.post("/v1/embeddings", json={"input": "the sea", **wrong})

    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_model_for_vectors_generates_nothing(embedding):
    server, _ = embedding

    with pytest.raises(BadRequestError, match="gives no tokens"):
        server.openai().completions.create(model="bert", prompt="the sea")


def test_a_reranker_puts_documents_in_order(reranker):
    server, expected = reranker

    body = {"query": TEXTS[0], "documents": TEXTS, "top_n": 2}
    answer = server.http.post("/v1/rerank", json=body).json()

    scores = {text: expected(TEXTS[0], text) for text in TEXTS}
    best = sorted(TEXTS, key=scores.__getitem__, reverse=True)[:2]
    assert [result["document"]["text"] for result in answer["results"]] == best
    found = [result["relevance_score"] for result in answer["results"]]
    assert np.abs(np.array(found) - [scores[text] for text in best]).max() < TOLERANCE


def test_a_reranker_scores_pairs(reranker):
    server, expected = reranker

    answer = server.http.post("/score", json={"text_1": TEXTS[0], "text_2": TEXTS[1:]}).json()

    found = np.array([item["score"] for item in answer["data"]])
    assert np.abs(found - [expected(TEXTS[0], text) for text in TEXTS[1:]]).max() < TOLERANCE


def test_vectors_score_pairs_by_their_cosine(embedding):
    server, expected = embedding

    answer = server.http.post("/score", json={"text_1": TEXTS[:2], "text_2": TEXTS[1:]}).json()

    cosines = [expected(a) @ expected(b) for a, b in pairwise(TEXTS)]
    assert np.abs(np.array([item["score"] for item in answer["data"]]) - cosines).max() < TOLERANCE


def test_a_classifier_gives_probabilities(reranker):
    server, _ = reranker

    (item,) = server.http.post("/classify", json={"input": "the sea"}).json()["data"]

    assert item["num_classes"] == len(item["probs"]) == 1
