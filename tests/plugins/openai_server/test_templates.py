"""The process in which templates of clients are rendered: what it tells, and how it ends."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest

from jackfield.activation import PluginRef
from jackfield.errors import EngineError, RequestError
from jackfield_openai_server import template_process
from jackfield_openai_server.engine.messages import Chosen
from jackfield_openai_server.template_process import TemplateProcess
from jackfield_openai_server.text import TextService
from jackfield_testing.models import write_model

TOKENIZER = PluginRef(
    kind="jackfield.tokenizers",
    major=1,
    name="hf",
    distribution="jackfield",
    version="0",
    target="jackfield.checkpoint.tokenizer:HfTokenizerFormat",
)
MESSAGES = [{"role": "user", "content": "a"}]
PLAIN = "{{ messages[0].content }}"
LOOP = {"chat_template": "{{ 9 ** (9 ** 9) }}"}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("model") / "tiny")
    return Chosen("tiny", str(folder), str(folder), asdict(TOKENIZER), "")


@pytest.fixture(scope="module")
def templates(chosen):
    process = TemplateProcess(chosen, 20)
    yield process
    process.close()


def render(process, template):
    return process.render(MESSAGES, {"chat_template": template})


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ raise_exception('a' * 1000000) }}", "aaaa"),
        ("{{ '\\ud800' }}", "surrogates not allowed"),
        ("{{ raise_exception('\\ud800') }}", r"\\ud800"),
    ],
    ids=["long_error", "text_with_surrogate", "error_with_surrogate"],
)
def test_what_cannot_be_sent_is_told_in_few_words(templates, template, told):
    with pytest.raises(RequestError, match=told) as caught:
        render(templates, template)

    assert len(str(caught.value)) <= 2000
    assert render(templates, PLAIN) == "a"


def test_a_process_that_was_killed_while_idle_is_started_again(templates):
    render(templates, PLAIN)
    killed = templates._child.process
    killed.kill()
    killed.wait()

    assert render(templates, PLAIN) == "a"


def test_a_process_that_does_not_start_is_no_fault_of_the_template(chosen):
    broken = {**asdict(replace(TOKENIZER, target="no_such_module:Nothing"))}
    process = TemplateProcess(msgspec.structs.replace(chosen, tokenizer_plugin=broken), 20)

    with pytest.raises(EngineError, match="could not start"):
        render(process, PLAIN)


def test_memory_is_not_limited_where_its_size_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(template_process, "_STATM", Path(tmp_path / "absent"))
    before = template_process.resource.getrlimit(template_process.resource.RLIMIT_AS)
    template_process._limit_memory()

    assert template_process.resource.getrlimit(template_process.resource.RLIMIT_AS) == before


def test_closing_ends_a_template_under_way_and_its_process(chosen):
    async def run():
        texts = TextService(chosen, template_timeout_s=60)
        await texts.render(MESSAGES, {"chat_template": PLAIN})
        child = texts._templates._child
        asked = [asyncio.create_task(texts.render(MESSAGES, LOOP)) for _ in range(2)]
        await asyncio.sleep(0.1)
        texts.close()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return found, child.process, texts

    began_s = time.monotonic()
    found, process, texts = asyncio.run(run())
    texts._template_thread.shutdown()

    assert [type(error) for error in found] == [EngineError, EngineError]
    assert {str(error) for error in found} == {"the model is unloaded, or the server ends"}
    assert process.poll() is not None
    assert texts._templates._child is None
    assert time.monotonic() - began_s < 30


def test_a_process_that_starts_while_all_is_closed_ends(chosen):
    process = TemplateProcess(chosen, 60)
    with ThreadPoolExecutor(1) as thread:
        rendered = thread.submit(render, process, PLAIN)
        while process._child is None:
            time.sleep(0.001)
        process.stop()

        assert isinstance(rendered.exception(timeout=20), EngineError)
        assert process._child is None
