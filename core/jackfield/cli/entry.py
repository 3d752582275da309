"""The first code of the `jackfield` program: while the rest is imported an interrupt ends it without a traceback."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)

from jackfield.cli.main import main  # noqa: E402  # an interrupt may come while this is imported


def run() -> None:
    """Run the program; from here on an interrupt is an exception, which `main` knows."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = main()
    except KeyboardInterrupt:  # while `main` was tidying up
        status = 130
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # what is imported at the end tells no tracebacks either
    sys.exit(status)


if __name__ == "__main__":
    run()
