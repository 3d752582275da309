"""The first code of the `jackfield` program. An interrupt during the other imports ends it without a traceback."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)

from jackfield.cli.main import main  # noqa: E402  # an interrupt may come while this is imported


def run() -> None:
    """Run the program. From here on an interrupt is an exception, which `main` handles."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = main()
    except KeyboardInterrupt:  # an interrupt came while `main` was cleaning up
        status = 130
    # An interrupt during the imports at the end prints no traceback either.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


if __name__ == "__main__":
    run()
