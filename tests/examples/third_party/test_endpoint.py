"""An endpoint as a stranger gets it: a wheel beside ours, in an environment with none of our sources."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.core_model
ROOT = Path(__file__).parents[3]
PACKAGE = "examples/third_party/endpoint"
ASK = """
import json, re, subprocess, sys, time, urllib.request
from pathlib import Path
from jackfield_testing.models import write_model

write_model(Path("tiny"))
words = ["serve", "./tiny", "--port", "0", "--platform", "reference", "--set", "select.weight_format=dummy"]
words += ["--set", 'options.serve.endpoints=["ollama"]', "--served-model-name", "tiny"]
with open("log", "w") as log:
    server = subprocess.Popen([sys.executable, "-m", "jackfield.cli.main", *words], stderr=log)
while not (found := re.search("serving .* on (http.*) \\\\(", Path("log").read_text())):
    assert server.poll() is None, Path("log").read_text()
    time.sleep(0.1)
body = {"model": "tiny", "prompt": "Hi", "raw": True, "options": {"num_predict": 3}}
asked = urllib.request.Request(found[1] + "/api/generate", json.dumps(body).encode())
lines = [json.loads(line) for line in urllib.request.urlopen(asked)]
server.terminate()
print(json.dumps([server.wait(60), lines[-1]["done_reason"], lines[-1]["eval_count"]]))
"""


@pytest.fixture(scope="module")
def environment(make_clean_environment):
    environment = make_clean_environment("jackfield-openai-server")
    environment.install(ROOT / PACKAGE)
    return environment


def test_a_server_whose_settings_name_it_answers_in_its_words(environment, tmp_path):
    (tmp_path / "ask.py").write_text(ASK)

    said = environment.run("python ask.py", tmp_path)

    assert json.loads(said.splitlines()[-1]) == [0, "length", 3]


def test_its_own_tests_pass_there(environment, copy_of):
    said = environment.run("pytest -q -p no:cacheprovider", copy_of(PACKAGE, "tests"))

    (line,) = (line for line in said.splitlines() if "endpoints:ollama" in line)
    assert "0 expected failures, 0 failed" in line
