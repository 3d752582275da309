"""Writes much more than anyone reads, then aborts."""

import os
import sys

sys.stderr.write("y" * 30_000_000)
sys.stderr.flush()
os.abort()
