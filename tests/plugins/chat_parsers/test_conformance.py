"""Each parser, through the kit of its kind: whole, one character at a time, cut at random, broken off anywhere."""

from jackfield_testing.conformance.parsing import ReasoningParserKit, ToolParserKit


class TestHermes(ToolParserKit):
    name = "hermes"
    samples = (
        (
            '<tool_call>\n{"name": "f", "arguments": {"a": "x}<\\"", "b": [1, {}]}}\n</tool_call>',
            "",
            [("f", '{"a": "x}<\\"", "b": [1, {}]}')],
        ),
        (
            'Let me look.\n<tool_call>{"arguments": {}, "name": "f"}</tool_call>\n<tool_call>\n{"name": "g"}\n</tool_call>\n Done.',
            "Let me look.\n Done.",
            [("f", "{}"), ("g", "{}")],
        ),
        (
            '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
            "",
            [("f", '{"a": 1}')],
        ),
        ('<tool_call>{"a": 1}</tool_call>', '<tool_call>{"a": 1}</tool_call>', []),
        ("a <tool_calx> b <tool_call>no", "a <tool_calx> b<tool_call>no", []),
        ('<tool_call>{"name": "f", "arguments": null}', "", [("f", "{}")]),
    )


class TestLlama3Json(ToolParserKit):
    name = "llama3_json"
    samples = (
        ('{"name": "f", "parameters": {"a": 1}}', "", [("f", '{"a": 1}')]),
        (
            '<|python_tag|>{"type": "function", "name": "f", "parameters": {}}; {"name": "g", "parameters": {"b": "]"}}',
            "",
            [("f", "{}"), ("g", '{"b": "]"}')],
        ),
        ('{"a": {"name": "no"}}', '{"a": {"name": "no"}}', []),
        ('{"a": 1} and more', '{"a": 1} and more', []),
        ("{ no json", "{ no json", []),
    )


class TestMistral(ToolParserKit):
    name = "mistral"
    samples = (
        (
            '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]',
            "",
            [("f", '{"a": 1}'), ("g", "{}")],
        ),
        (
            'Well. [TOOL_CALLS]f[ARGS]{"a": "[x]"}[TOOL_CALLS]g[CALL_ID]abc123456[ARGS]{}',
            "Well.",
            [("f", '{"a": "[x]"}'), ("g", "{}")],
        ),
        ('[TOOL_CALLS]f{"a": 1}', "", [("f", '{"a": 1}')]),
        ('[TOOL_CALLS] [{"no": 1}]', '[TOOL_CALLS] [{"no": 1}]', []),
    )


class TestPythonic(ToolParserKit):
    name = "pythonic"
    samples = (
        (
            "[f(a=1, b='x)]'), os.g(c={'k': [True, None]})]",
            "",
            [("f", '{"a": 1, "b": "x)]"}'), ("os.g", '{"c": {"k": [true, null]}}')],
        ),
        ("<|python_start|>[f()]<|python_end|>", "", [("f", "{}")]),
        ("[1, 2]", "[1, 2]", []),
        ("[f(x)] is a call", "[f(x)] is a call", []),
        ("[f(a={1, 2})]", "[f(a={1, 2})]", []),
    )


_THOUGHTS = (
    ("", "<think>\nWell, < 2.\n</think>\n\nYes.", "Well, < 2.", "Yes."),
    ("<think>\n", "Well\n\nso.\n</think>Yes </think> no.", "Well\n\nso.", "Yes </think> no."),
    ("<think>\n", "<think>Well</think>Yes", "Well", "Yes"),
    ("<think>\n", "never ends ", "never ends", ""),
    ("<think>\n\n</think>\n\n", "Yes, <think> is a mark.", "", "Yes, <think> is a mark."),
)


class TestQwen3(ReasoningParserKit):
    name = "qwen3"
    samples = _THOUGHTS


class TestDeepseekR1(ReasoningParserKit):
    name = "deepseek_r1"
    plain_prompt = "<think></think>"
    samples = (*_THOUGHTS, ("<｜Assistant｜>", "Well.</think>Yes.", "Well.", "Yes."))


class TestMistralThink(ReasoningParserKit):
    name = "mistral"
    samples = (("", "[THINK]Well.[/THINK] Yes.", "Well.", "Yes."),)
