"""Ends the process with success while it is asked whether it fits."""
# kind: tokenizers

import sys

from jackfield.interfaces.tokenizer import TokenizerFormat


class Bad(TokenizerFormat):
    """Never opened."""

    def check(self, need, facts):
        """Leave."""
        sys.exit(0)

    def open(self, files):
        """Nothing to open."""
