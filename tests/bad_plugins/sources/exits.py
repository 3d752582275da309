"""Asks the interpreter to end when it is imported."""

import sys

sys.exit(3)
