import logging
import threading
import time

import pytest

from jackfield.executor.patience import patience


def test_what_takes_long_is_told_again_and_again(caplog):
    with patience("acme to start", every_s=0.02):
        time.sleep(0.1)

    assert caplog.text.count("s for acme to start") >= 2


def test_what_is_quick_is_not_told_and_nothing_is_left(caplog):
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ValueError), patience("acme to start"):
        raise ValueError

    assert not caplog.records
    assert not [t for t in threading.enumerate() if t.name == "jackfield-patience"]
