"""What a model is asked: a prompt's thread as messages, and for an llm_client's prompt the
system message, the tools and the figures of the client and its selected plugins.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

from parley.core.context import Context, estimated_tokens
from parley.core.errors import ProviderFailed
from parley.core.functions import FUNCTIONS, FunctionSpec
from parley.core.llm_client import LlmClient
from parley.core.model import Model
from parley.core.plugin import SEARCH_TERMS, StaticPlugin, selected, tool_of
from parley.core.session import intro_of
from parley.core.thread import (
    COMPLETION_LIMIT_BYTES,
    ROUNDS_APART,
    Message,
    Role,
    ToolCall,
    render,
    rendered_size,
)
from parley.ports import ChatMessage, ProviderRequest, Tool
from parley.usecases.setups import Setup

SYSTEM = "system"
GREETED = "You have begun the conversation with this:"
# What a turn stores has to fit in one transaction of 4 MB, whatever a manifest says.
ROUNDS_CAP = 16


@dataclass(frozen=True, slots=True)
class Asking:
    """A request, and what the model may call: in so many rounds, from these plugins."""

    request: ProviderRequest
    plugins: tuple[StaticPlugin, ...] = ()
    rounds: int = 0

    @property
    def called_up(self) -> str:
        """The numbers of the plugins that the turn has for a term, as its answer keeps them."""
        return ",".join(str(one.number) for one in self.plugins if one.directive == SEARCH_TERMS)

    def plugin_of(self, name: str) -> str:
        """The name of the plugin behind a tool, empty for a function."""
        return next((one.name for one in self.plugins if one.tool_name == name), "")

    def offers(self, name: str) -> bool:
        return any(tool.name == name for tool in self.request.tools)


def asking(setup: Setup, question: Message, context: Context, now: int) -> Asking:
    """What to ask, but for the key of the model's endpoint; raises ProviderFailed."""
    template = question.template or setup.model.template
    if template:
        return Asking(_completion(setup, template, question.text))
    messages = spoken(context.messages)
    if setup.client is None:
        return Asking(ProviderRequest(setup.model, "", messages))
    return _chat(setup, setup.client, context, messages, now)


def _completion(setup: Setup, template: str, text: str) -> ProviderRequest:
    if rendered_size(template, text) > COMPLETION_LIMIT_BYTES:
        detail = f"the template with its prompts is over {COMPLETION_LIMIT_BYTES} bytes"
        raise ProviderFailed("too_large", detail, retryable=False)
    temperature = setup.client.temperature if setup.client else None
    completion = render(template, text)
    return ProviderRequest(setup.model, "", completion=completion, temperature=temperature)


def _chat(
    setup: Setup,
    client: LlmClient,
    context: Context,
    messages: tuple[ChatMessage, ...],
    now: int,
) -> Asking:
    newest, *earlier = (m.text for m in reversed(context.messages) if m.role is Role.USER)
    selection = selected(setup.plugins, newest, earlier, _numbers(context.called_up))
    chosen = (*selection.selected, *selection.offered)
    model, temperature = _figures(setup, client, selection.selected)
    rounds = min(client.limits.tool_rounds, ROUNDS_CAP)
    request = ProviderRequest(
        model,
        "",
        (ChatMessage(SYSTEM, _system(client, context, selection.selected, now)), *messages),
        tools=tuple(_tools(client, chosen)) if rounds > 0 else (),
        temperature=temperature,
    )
    return Asking(request, chosen, rounds)


def _greeting(client: LlmClient, context: Context) -> str:
    """What the person was greeted with: the first question may answer that.

    As long as the whole conversation is there, and has room for it. No messages of its own:
    many models refuse a conversation that begins with the assistant.
    """
    greeting = "\n\n".join((GREETED, *intro_of(client)))
    fits = context.tokens + estimated_tokens(greeting) <= client.budget.tokens
    return greeting if context.whole and fits and intro_of(client) else ""


def _numbers(listed: str) -> set[int]:
    return {int(number) for number in listed.split(",") if number.isascii() and number.isdigit()}


def _figures(
    setup: Setup, client: LlmClient, plugins: Iterable[StaticPlugin]
) -> tuple[Model, float | None]:
    """Model (with its bound of tokens) and temperature; the last selected plugin's win."""
    model, temperature, max_tokens = setup.model, client.temperature, client.max_tokens
    for plugin in plugins:
        model = setup.model_named(plugin.model) if plugin.model else model
        temperature = temperature if plugin.temperature is None else plugin.temperature
        max_tokens = plugin.max_tokens or max_tokens
    return replace(model, max_tokens=max_tokens), temperature


def _system(client: LlmClient, context: Context, plugins: Iterable[StaticPlugin], now: int) -> str:
    """The system message of one turn. It is made anew for each, and never stored."""
    moment = datetime.fromtimestamp(now / 1000, UTC)
    date = f"The current date and time (UTC): {moment:%A, %Y-%m-%d %H:%M}."
    roles = [plugin.system_role for plugin in plugins if plugin.system_role]
    texts = (date, client.system_role, *roles, _greeting(client, context))
    return "\n\n".join(filter(None, texts))


def _tools(client: LlmClient, plugins: Iterable[StaticPlugin]) -> Iterable[Tool]:
    specs: list[FunctionSpec] = [FUNCTIONS[n] for n in client.functions if n in FUNCTIONS]
    for spec in [*specs, *map(tool_of, plugins)]:
        yield Tool(spec.name, spec.description, spec.parameters)


# --- messages ------------------------------------------------------------------------


def spoken(context: Iterable[Message]) -> tuple[ChatMessage, ...]:
    """The messages of a context (oldest first) as a provider gets them."""
    messages: list[ChatMessage] = []
    for _, turn in groupby(context, lambda message: message.turn):
        messages += _turn(list(turn))
    return tuple(messages)


def _turn(messages: Sequence[Message]) -> Iterable[ChatMessage]:
    """A turn with its rounds. What a round says goes where it was said.

    It is also the beginning of the answer's text. Where that is no more the case, for the
    answer was edited or a round is left out, the answer says it all.
    """
    rounds = [message for message in messages if message.role is Role.TOOL]
    before = ROUNDS_APART.join(message.text for message in rounds if message.text)
    start = before + ROUNDS_APART if before else ""
    for message in messages:
        apart = bool(rounds) and _begins(messages[-1], start)
        if message.role is Role.TOOL:
            yield from round_spoken(message.text if apart else "", message.calls)
        else:
            cut = len(start) if apart and message.role is Role.ASSISTANT else 0
            yield ChatMessage(message.role.value, message.text[cut:])


def _begins(answer: Message, start: str) -> bool:
    return answer.text.startswith(start) and len(answer.text) > len(start)


def round_spoken(text: str, calls: Sequence[ToolCall]) -> Iterable[ChatMessage]:
    """A round of calls: what the model asked for, and what came of it."""
    asked = tuple(ToolCall(call.id, call.name, call.arguments) for call in calls)
    yield ChatMessage(Role.ASSISTANT.value, text, asked)
    for call in calls:
        yield ChatMessage(Role.TOOL.value, call.result, call_id=call.id)
