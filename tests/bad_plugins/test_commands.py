"""What the commands say of bad plugins, and their exit status."""

import json
import time

import pytest

from jackfield.cli.main import main
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

pytestmark = pytest.mark.thorough


FINE, FAULT = 0, 1
STATUS = {
    "sound": FINE,
    "raises": FAULT,
    "segfaults": FAULT,
    "hangs": FAULT,
    "mumbles": FINE,  # a probe may raise if there is no device
}


@pytest.mark.parametrize("name", STATUS)
def test_a_check_has_a_status_and_one_report_of_each(install, name, capsys):
    status = main(["plugins", "check", "--json", *install(name).command_line])

    document = json.loads(capsys.readouterr().out)
    reports = [problem for problem in document["problems"] if problem["name"] == name]
    assert status == STATUS[name]
    assert len(reports) == (name != "sound")


def test_the_table_of_a_check_has_no_control_characters(install, capsys):
    main(["plugins", "check", *install("colours").command_line])

    text = capsys.readouterr().out
    assert text.replace("\n", "").isprintable()
    assert r"\x1b[2J no luck \u202e" in text


def test_a_check_says_that_a_crash_is_harmful_and_where_it_was(install, capsys):
    main(["plugins", "check", *install("segfaults").command_line])

    text = capsys.readouterr().out
    assert "harmful" in text
    assert "bad_segfaults.py" in text


@pytest.mark.parametrize("name", ["vanishes", "segfaults_everywhere"])
def test_an_explanation_is_valid_json_beside_it(install, name, tmp_path, capfd):
    write_model(tmp_path)
    settings = [f"{setting}={word}" for setting, word in REFERENCE_SETTINGS.items()]
    words = [word for setting in settings for word in ("--set", setting)]

    main(["explain", str(tmp_path), "--json", *words, *install(name).command_line])

    assert "decisions" in json.loads(capfd.readouterr().out)


def test_an_import_of_thirty_seconds_is_one_report_after_the_limit(install, capsys):
    began_s = time.monotonic()

    main(["plugins", "check", "--json", *install("hangs").command_line])

    assert time.monotonic() - began_s < 20
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert "took longer than 2 s (plugins.import_timeout_s)" in problem["error"]
