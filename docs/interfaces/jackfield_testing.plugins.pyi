# Part of: jackfield_testing 0.1
from typing import Any
def load_plugin(kind: str, name: str) -> Any:
    ...
