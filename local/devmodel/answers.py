"""What the development model says: deterministic, and open about what it is.

An answer is either text or calls of tools. It calls tools when the request offers them,
the last message is the user's and

- `tool_choice` is `required` or names a tool, or
- the text mentions the name of an offered tool as a word (`Please use get_weather`), the last
  word of its name (`What is the weather?`), or a value that a required argument may have.

Arguments are the JSON object that follows the name (`get_weather {"city": "Oslo"}`), else
each required property of the tool's schema gets a value of its type: the value that was
mentioned, for a `location` what follows `in`, for other texts the question.
When the last message is a tool's result, it answers with a text that quotes it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Request = Mapping[str, Any]
QUOTED = 300
LINES = 12
PLACE = re.compile(r"\bin ([A-Z][^?.!;]*)")


@dataclass(frozen=True)
class ToolCall:
    """A function to call, its arguments as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    """Chunks of text, or calls of tools."""

    chunks: tuple[str, ...]
    calls: tuple[ToolCall, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.chunks)


def question(request: Request) -> str:
    """The last text of the user, or the prompt of a completions call."""
    if "prompt" in request:
        prompt = request["prompt"]
        return prompt if isinstance(prompt, str) else "".join(map(str, prompt))
    texts = [content(m) for m in request.get("messages", []) if m.get("role") == "user"]
    return texts[-1] if texts else ""


def content(message: Request) -> str:
    """The text of a message; it may come as a list of parts."""
    body = message.get("content") or ""
    if isinstance(body, str):
        return body
    return "".join(part.get("text", "") for part in body)


def answer(request: Request) -> Answer:
    """The answer to a request."""
    calls = tuple(_calls(request))
    return Answer((), calls) if calls else Answer(words(_text(request)))


def words(text: str) -> tuple[str, ...]:
    """The text in chunks of one word, with the white space before it."""
    return tuple(re.findall(r"\s*\S+|\s+$", text))


def tokens(text: str) -> int:
    """A count that looks like a tokenizer's."""
    return -(-len(text) // 4)


def prompt_tokens(request: Request) -> int:
    """The tokens of everything the request sent."""
    if "prompt" in request:
        return tokens(question(request))
    return sum(tokens(content(message)) for message in request.get("messages", []))


def _text(request: Request) -> str:
    messages = request.get("messages", [])
    lines = ["I am Parley's development model: I run on this machine and know nothing."]
    if messages and messages[-1].get("role") == "tool":
        lines.append("I called a tool, and this is what came back:")
        shown = f"```json\n{_pretty(content(messages[-1]))}\n```"
        closing = "A real model would now put that into words of its own."
        return "\n\n".join([" ".join(lines), shown, closing])
    lines.append(f"You asked: “{_quoted(question(request))}”")
    if "prompt" in request:
        lines.append("It came as one prompt, without the messages of a thread.")
    else:
        lines.append(f"I saw {len(messages)} message(s) of context, this one included.")
    lines.append("A real model would now say something clever; I only say the same thing every")
    lines.append("time, a word at a time, so that you can watch an answer come in as a stream.")
    return " ".join(lines)


def _pretty(text: str) -> str:
    """The first lines of what a tool answered, as people read JSON."""
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except json.JSONDecodeError:
        text = _quoted(text)
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= LINES else [*lines[:LINES], "…"])


def _quoted(text: str) -> str:
    return text if len(text) <= QUOTED else text[:QUOTED] + "…"


def _calls(request: Request) -> Iterator[ToolCall]:
    messages: Sequence[Request] = request.get("messages", [])
    tools = [tool["function"] for tool in request.get("tools") or []]
    choice = request.get("tool_choice", "auto")
    if not messages or messages[-1].get("role") != "user" or choice == "none":
        return
    text = content(messages[-1])
    wanted = [tool for tool in tools if _mentions(text, tool["name"])]
    wanted = wanted or [tool for tool in tools if _hinted(tool, text)][:1]
    if isinstance(choice, dict):
        wanted = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    elif choice == "required" and not wanted:
        wanted = tools[:1]
    for number, tool in enumerate(wanted, 1):
        arguments = _arguments(tool, text)
        yield ToolCall(f"call_{len(messages)}_{number}", tool["name"], json.dumps(arguments))


def _mentions(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _hinted(tool: Request, text: str) -> bool:
    """True if a question is about a tool without naming it."""
    last = tool["name"].rpartition("_")[2]
    schema = tool.get("parameters") or {}
    required = [schema.get("properties", {}).get(name, {}) for name in schema.get("required", [])]
    values = [value for one in required for value in one.get("enum", []) if isinstance(value, str)]
    return any(_mentions(text, word) for word in (last, *values) if len(word) > 3)


def _arguments(tool: Request, text: str) -> Any:
    """The JSON after the tool's name, or values made up from its schema."""
    _, _, rest = text.partition(tool["name"])
    if rest.lstrip().startswith("{"):
        try:
            return json.JSONDecoder().raw_decode(rest.lstrip())[0]
        except json.JSONDecodeError:
            pass
    schema = tool.get("parameters") or {}
    properties = schema.get("properties", {})
    return {
        name: _value(name, properties.get(name, {}), text) for name in schema.get("required", [])
    }


def _value(name: str, schema: Request, text: str) -> Any:
    if values := schema.get("enum"):
        return next((one for one in values if _mentions(text, str(one))), values[0])
    if name == "location" and (place := PLACE.search(text)):
        return place[1]
    made_up = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    return made_up.get(schema.get("type", "string"), text)
