"""Encoders and their classifiers pass the kit of encoders."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.encoder import EncoderKit

pytestmark = pytest.mark.cpu_model

LABELS = {"num_labels": 3}
ONE = {"num_labels": 1}
DISTILBERT = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 80}
MODERNBERT = {
    "num_hidden_layers": 4,
    "local_attention": 8,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "cls_token_id": 2,
    "sep_token_id": 1,
}


class TestBert(EncoderKit):
    name = "BertModel"
    configs: ClassVar = {"plain": {}, "relu": {"hidden_act": "relu"}}


class TestBertForMaskedLM(EncoderKit):
    name = "BertForMaskedLM"


class TestBertForSequenceClassification(EncoderKit):
    name = "BertForSequenceClassification"
    configs: ClassVar = {"three": LABELS, "one": ONE}


class TestRoberta(EncoderKit):
    name = "RobertaModel"
    configs: ClassVar = {"plain": {"type_vocab_size": 1}, "padding": {"pad_token_id": 3}}


class TestRobertaForMaskedLM(EncoderKit):
    name = "RobertaForMaskedLM"


class TestRobertaForSequenceClassification(EncoderKit):
    name = "RobertaForSequenceClassification"
    configs: ClassVar = {"three": LABELS}


class TestXLMRoberta(EncoderKit):
    name = "XLMRobertaModel"


class TestXLMRobertaForMaskedLM(EncoderKit):
    name = "XLMRobertaForMaskedLM"


class TestXLMRobertaForSequenceClassification(EncoderKit):
    name = "XLMRobertaForSequenceClassification"
    configs: ClassVar = {"one": ONE}


class TestCamembert(EncoderKit):
    name = "CamembertModel"


class TestCamembertForMaskedLM(EncoderKit):
    name = "CamembertForMaskedLM"


class TestCamembertForSequenceClassification(EncoderKit):
    name = "CamembertForSequenceClassification"


class TestMPNet(EncoderKit):
    name = "MPNetModel"


class TestMPNetForMaskedLM(EncoderKit):
    name = "MPNetForMaskedLM"


class TestMPNetForSequenceClassification(EncoderKit):
    name = "MPNetForSequenceClassification"
    configs: ClassVar = {"three": LABELS}


class TestDistilBert(EncoderKit):
    name = "DistilBertModel"
    configs: ClassVar = {"plain": DISTILBERT}


class TestDistilBertForMaskedLM(EncoderKit):
    name = "DistilBertForMaskedLM"
    configs: ClassVar = {"plain": DISTILBERT}


class TestDistilBertForSequenceClassification(EncoderKit):
    name = "DistilBertForSequenceClassification"
    configs: ClassVar = {"three": {**DISTILBERT, **LABELS}}


class TestModernBert(EncoderKit):
    name = "ModernBertModel"
    configs: ClassVar = {
        "windows": MODERNBERT,
        "biases": {**MODERNBERT, "attention_bias": True, "mlp_bias": True, "norm_bias": True},
    }


class TestModernBertForMaskedLM(EncoderKit):
    name = "ModernBertForMaskedLM"
    configs: ClassVar = {"plain": MODERNBERT}


class TestModernBertForSequenceClassification(EncoderKit):
    name = "ModernBertForSequenceClassification"
    configs: ClassVar = {
        "first token": {**MODERNBERT, **LABELS},
        "mean": {**MODERNBERT, **ONE, "classifier_pooling": "mean", "classifier_bias": True},
    }
