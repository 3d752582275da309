# Part of: jackfield_torch 0.1
from functools import cache
@cache
def openmp_parallel() -> int | None:
    ...
