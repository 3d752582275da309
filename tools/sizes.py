"""Print the ten largest files and functions, in lines of code. They are a tail to watch, not a limit."""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("core", "platforms", "attention_backends", "quantization", "plugins")
BLANK = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines of docstrings."""
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return {line for s in strings for line in range(s.lineno, (s.end_lineno or s.lineno) + 1)}


def code_lines(source: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    filled = {
        line
        for token in tokens
        if token.type not in BLANK
        for line in range(token.start[0], token.end[0] + 1)
    }
    return filled - docstring_lines(tree)


def main() -> None:
    """Measure every module of every member."""
    files, functions = [], []
    for path in sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT)
        if "build" in name.parts:
            continue
        source = path.read_text()
        tree = ast.parse(source)
        lines = code_lines(source, tree)
        files.append((len(lines), str(name)))
        for node in ast.walk(tree):
            if isinstance(node, Function):
                size = len(lines & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
                functions.append((size, f"{name}:{node.lineno} {node.name}"))

    for title, sizes in (("files", files), ("functions", functions)):
        sizes.sort(reverse=True)
        median = sizes[len(sizes) // 2][0] if sizes else 0
        print(f"{len(sizes)} {title}, {median} lines in the median; the largest:")
        print("\n".join(f"{size:6} {where}" for size, where in sizes[:10]))


if __name__ == "__main__":
    main()
