"""The JSON Schema Test Suite, held against what a plugin for structured output makes of its schemas."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from jackfield.config import EngineConfig
from jackfield.errors import RequestError
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.sampling import Structured
from jackfield_testing.plugins import load_plugin
from jackfield_testing.tokenizer import END_TOKEN_ID, VOCAB_SIZE, ByteTokenizer

SUITE = Path(__file__).parents[1] / "json_schema_suite" / "draft2020_12.json"
LIKELY = frozenset(b'[]{},:"-0123456789 .truefalsn\\xabcdo')  # so that drawn answers end
CLOSING = frozenset(b'"}]')
LONGEST = 200


@pytest.fixture(scope="session")
def judge_schemas():
    """(what is wrong, counts) of a plugin: no mask may let a document through that its schema refuses."""

    def judge(name):
        vocabulary = Vocabulary(
            tokenizer=ByteTokenizer(), size=VOCAB_SIZE, end_token_ids=(END_TOKEN_ID,)
        )
        compiler = load_plugin("jackfield.structured_output", name).create(
            vocabulary, EngineConfig()
        )
        counts, wrong = Counter(), []
        for keyword, description, schema, documents in json.loads(SUITE.read_text()):
            try:
                grammar = compiler.compile(Structured("json", json.dumps(schema)))
            except RequestError:
                counts["refused"] += 1
                continue
            counts["accepted"] += 1
            where = f"{keyword}: {description}"
            for is_valid, document in documents:
                text = json.dumps(document, ensure_ascii=False)
                if takes(grammar.start(), text):
                    counts["valid"] += 1
                    wrong += [] if is_valid else [f"{where} takes {text}"]
            for seed in range(3):
                text = drawn(grammar, seed)
                counts["drawn"] += text is not None
                wrong += [] if text is None else complaints(where, text, schema)
        return wrong, counts

    return judge


def complaints(where, text, schema):
    import jsonschema  # where models are tested on a card it need not be there

    try:
        document = json.loads(text)
    except ValueError:
        return [f"{where} draws {text}, which is no JSON"]
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(document)
    return [] if is_valid else [f"{where} draws {text}"]


def allowed(state):
    mask = bytearray(-(-VOCAB_SIZE // 32) * 4)
    state.fill(memoryview(mask))
    return [token for token in range(VOCAB_SIZE) if mask[token // 8] >> token % 8 & 1]


def takes(state, text):
    """Whether a grammar takes a text from beginning to end."""
    if not all(not state.is_finished and state.accept(byte) for byte in text.encode()):
        return False
    return state.is_finished or END_TOKEN_ID in allowed(state)


def drawn(grammar, seed):
    """A text that its masks allow, None if it does not come to an end."""
    draw, state, token_ids = random.Random(seed), grammar.start(), []
    while not state.is_finished:
        tokens = allowed(state)
        if END_TOKEN_ID in tokens and draw.random() < 0.5:
            break
        wanted = LIKELY if len(token_ids) < 60 else CLOSING
        tokens = [t for t in tokens if t in wanted] or [t for t in tokens if t != END_TOKEN_ID]
        if not tokens or len(token_ids) == LONGEST:
            return None
        token_ids.append(draw.choice(tokens))
        assert state.accept(token_ids[-1])
    return ByteTokenizer().decode(token_ids)
