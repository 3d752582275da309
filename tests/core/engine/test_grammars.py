from jackfield.engine.grammars import Grammars
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.sampling import Structured


class Compiler:
    def __init__(self):
        self.compiled = []

    def compile(self, structured):
        self.compiled.append(structured.value)
        return object()


def test_small_grammars_are_kept_and_large_ones_make_each_other_room():
    compiler = Compiler()
    vocabulary = Vocabulary(tokenizer=None, size=1, end_token_ids=())
    grammars = Grammars({"regex": ("a plugin", lambda _: compiler)}, vocabulary)
    large = ["a" * 600_000, "b" * 600_000]

    for value in ("small", "small", *large, large[1], large[0]):
        grammars.compile(Structured("regex", value))

    assert compiler.compiled == ["small", *large, large[0]]
