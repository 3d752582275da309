"""Drives a running server with litellm and langchain-openai: a chat, a stream, and a tool call.

`pip install litellm langchain-openai`, then `python benchmarks/clients/drive.py http://localhost:8000 --model NAME`.
It prints JSON, and fails if a client fails. `tool_choice` makes the server enforce the tool call, so any model can be used.
"""

import argparse
import json
import os
from importlib import metadata

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # asks no other machine

KEY = os.environ.get("OPENAI_API_KEY", "unused")
ASKED = [{"role": "user", "content": "What is the weather in Oslo?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
FORCED = {"type": "function", "function": {"name": "weather"}}


def with_litellm(url: str, model: str) -> dict[str, object]:
    """A chat, a streamed chat, a tool call, and the tool's answer sent back, with litellm."""
    import litellm

    common = {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": KEY, "max_tokens": 60}
    whole = litellm.completion(messages=ASKED, **common)
    chunks = list(litellm.completion(messages=ASKED, stream=True, **common))
    asked = {**common, "messages": ASKED, "tools": [TOOL], "tool_choice": FORCED}
    (call,) = litellm.completion(**asked).choices[0].message.tool_calls
    pieces = [c.choices[0].delta.tool_calls for c in litellm.completion(stream=True, **asked)]
    arguments = "".join(p[0].function.arguments or "" for p in pieces if p)
    told = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "Snow."},
    ]
    last = litellm.completion(messages=told, tools=[TOOL], **common)
    return {
        "tokens": whole.usage.completion_tokens,
        "chunks": len(chunks),
        "call": json.loads(call.function.arguments),
        "streamed_call": json.loads(arguments),
        "finish_reason": last.choices[0].finish_reason,
    }


def with_langchain(url: str, model: str) -> dict[str, object]:
    """The same with langchain's ChatOpenAI."""
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Snow in {city}."

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key=KEY, model=model, max_tokens=60)
    asked = [HumanMessage("What is the weather in Oslo?")]
    whole = chat.invoke(asked)
    num_chunks = sum(1 for _ in chat.stream(asked))
    bound = chat.bind_tools([TOOL], tool_choice="weather")
    answer = bound.invoke(asked)
    (call,) = answer.tool_calls
    streamed = None
    for chunk in bound.stream(asked):
        streamed = chunk if streamed is None else streamed + chunk
    told = [*asked, answer, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    last = chat.bind_tools([TOOL]).invoke(told)
    structured = chat.with_structured_output(
        {**TOOL["function"]["parameters"], "title": "Place"}, method="json_schema"
    ).invoke(asked)
    return {
        "tokens": whole.usage_metadata["output_tokens"],
        "chunks": num_chunks,
        "call": call["args"],
        "streamed_call": streamed.tool_calls[0]["args"],
        "finish_reason": last.response_metadata["finish_reason"],
        "structured": structured,
    }


CLIENTS = {
    "litellm": ("litellm", with_litellm),
    "langchain": ("langchain-openai", with_langchain),
}


def main() -> None:
    """Drive the server with one client, or with both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model", default="default")
    parser.add_argument("--client", nargs="+", choices=[*CLIENTS], default=[*CLIENTS])
    arguments = parser.parse_args()
    report = {}
    for client in arguments.client:
        package, drive = CLIENTS[client]
        found = drive(arguments.url.rstrip("/"), arguments.model)
        report[client] = {"version": metadata.version(package), **found}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
