# Part of: jackfield 0.1
from collections.abc import Sequence
def main(argv: Sequence[str] | None=None) -> int:
    ...
