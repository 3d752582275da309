import subprocess
import sys
from threading import Barrier, Thread

from jackfield.discovery.stdout import prints_to_stderr

PROGRAM = """
import os, subprocess
from jackfield.discovery.stdout import prints_to_stderr
print("before")
with prints_to_stderr():
    print("of python")
    os.write(1, b"of native code\\n")
    subprocess.run(["echo", "of a child"])
print("after")
"""


def test_what_is_printed_goes_to_standard_error_however_it_is_printed():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )

    assert done.stdout == "before\nafter\n"
    assert done.stderr == "of python\nof native code\nof a child\n"


def test_what_print_led_to_is_put_back(capsys):
    with prints_to_stderr():
        print("aside")
    print("answer")

    assert capsys.readouterr() == ("answer\n", "aside\n")


def test_it_is_put_back_after_an_error(capsys):
    try:
        with prints_to_stderr():
            raise ValueError
    except ValueError:
        print("answer")

    assert capsys.readouterr().out == "answer\n"


def test_threads_that_overlap_put_it_back_once_the_last_has_left():
    before, inside = sys.stdout, Barrier(2)

    def ask():
        with prints_to_stderr():
            inside.wait(10)

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sys.stdout is before
