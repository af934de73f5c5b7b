"""An attempt of an llm_client's prompt: what the model is asked, its calls, what is told."""

import json
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.openai_calls import CALLS_KEPT
from parley.core.access import TEXT_LIMIT_BYTES
from parley.core.events import FRAME_BYTES, encoded, message_frame, tool_frame
from parley.core.model import Catalogue
from parley.core.prompt import Outcome, Prompt, Status, Usage
from parley.core.resource import Kind
from parley.core.thread import ANSWER, QUESTION, Message, Role, ToolCall, answer_id
from parley.ports import ChatMessage, ToolResult, WakeUp
from parley.usecases.asking import ROUNDS_CAP
from parley.usecases.attempt import CALLS_CAP, RESULTS_BYTES
from parley.usecases.run import Again, Done

from tests.fakes.provider import SILENT, Ask, Cut, End, Say, Wait
from tests.fakes.publisher import Fate
from tests.fakes.world import ACCOUNT, MODEL, USER, World

SUM = ("calculator", '{"expression": "1+1"}')
DATE = ("date_calculator", '{"days": 2}')


def a_world(**spec: Any) -> World:
    """A world with the llm_client `adviser`, which has two functions unless told otherwise."""
    world = World()
    spec.setdefault("functions", ["calculator", "date_calculator"])
    world.describe(Kind.LLM_CLIENT, "adviser", **spec)
    return world


def plugin(world: World, number: int, directive: str, **prompt: Any) -> str:
    """A plugin of the account; its name."""
    name = f"plugin{number}"
    selector = {"directive": directive, "searchTerms": ["gobstopper"]}
    world.describe(
        Kind.PLUGIN,
        name,
        number=number,
        selector=selector,
        prompt={"systemRole": f"Role {number}.", **prompt},
        data={"description": f"About {number}", "staticData": {"key": "value"}},
    )
    return name


async def ask(
    world: World,
    prompt_id: str = "a",
    text: str = "",
    client: str = "adviser",
    followers: tuple[str, ...] = (),
) -> None:
    """Accept a prompt of the client and do what its wake-up calls for."""
    await world.add(prompt_id, text=text, client=client)
    for connection in followers:
        await world.subscribe(connection)
    await look(world, prompt_id)


async def look(world: World, prompt_id: str = "a") -> Done | Again:
    wake_up = WakeUp(ACCOUNT, prompt_id, "t")
    deadline = world.clock.monotonic() + 340
    return await world.clock.run(world.run(wake_up, alone=True, deadline=deadline))


def rounds(world: World, prompt_id: str = "a") -> list[Message]:
    """The rounds that are stored of a prompt's turn."""
    turn = world.prompt(prompt_id).turn
    messages = world.state.messages[ACCOUNT, "t"]
    return [m for (t, part), m in sorted(messages.items()) if t == turn and m.role is Role.TOOL]


def answered(world: World, prompt_id: str = "a") -> str:
    answer = world.answer(prompt_id)
    assert answer is not None
    return answer.text


def tools_told(world: World, connection: str = "c") -> list[tuple[str, str, int]]:
    """Name, state and offset of the tool events that arrived."""
    frames = [frame for frame in world.publisher.frames[connection] if frame["type"] == "tool"]
    return [(frame["name"], frame["state"], frame["offset"]) for frame in frames]


# --- what the model is asked --------------------------------------------------------------


async def test_the_system_message_and_the_figures_are_the_clients() -> None:
    world = a_world(
        config={"defaultSystemRole": "You sell books.", "defaultTemperature": 0.0},
        context={"turns": 2},
    )
    for n in range(3):
        await ask(world, f"p{n}")
    request = world.provider.requests[-1]
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[0].text == (
        "The current date and time (UTC): Sunday, 2025-06-15 15:06.\n\nYou sell books."
    )
    assert (request.temperature, request.model.max_tokens) == (0.0, 2048)
    assert [tool.name for tool in request.tools] == ["calculator", "date_calculator"]
    assert request.tools[0].parameters["type"] == "object"
    assert all(m.role is not Role.TOOL for m in world.state.messages[ACCOUNT, "t"].values())


async def test_a_plain_prompt_is_asked_as_before() -> None:
    world = a_world()
    await world.add("a")
    await look(world)
    request = world.provider.requests[0]
    assert request.messages == (ChatMessage("user", "ask a"),)
    assert (request.tools, request.temperature, request.model) == ((), None, MODEL)


async def test_plugins_add_their_roles_and_tools_and_the_last_selected_ones_figures_win() -> None:
    world = World()
    other = replace(MODEL, id="other", provider_model="other", default=False)
    world.accounts.catalogues[ACCOUNT] = Catalogue((MODEL, other))
    names = [
        plugin(world, 1, "always", temperature=0.1, model="other", maxTokens=7),
        plugin(world, 2, "search_terms", temperature=0.0),
        plugin(world, 3, "llm", temperature=0.9, model="never"),
    ]
    world.describe(Kind.LLM_CLIENT, "adviser", plugins=names, functions=["calculator"])

    await ask(world, "a", "hello")
    await ask(world, "b", "a Gobstopper, please")
    await ask(world, "c", "another")

    first, second, third = world.provider.requests
    assert [tool.name for tool in first.tools] == [
        "calculator",
        "smarter_plugin_0000000001",
        "smarter_plugin_0000000003",
    ]
    assert "\n\nYou are a helpful assistant.\n\nRole 1.\n\n" in first.messages[0].text
    assert (first.temperature, first.model.provider_model, first.model.max_tokens) == (
        0.1,
        "other",
        7,
    )
    assert first.model.base_url == MODEL.base_url
    assert "\n\nRole 1.\n\nRole 2.\n\n" in second.messages[0].text
    assert (second.temperature, second.model.provider_model) == (0.0, "other")
    assert len(second.tools) == 4
    assert third.messages[0] == second.messages[0], "a term that was said once stays on"
    assert all("Role" not in m.text for m in world.state.messages[ACCOUNT, "t"].values())


async def test_a_plugins_model_may_be_one_of_the_catalogue_with_its_own_secret() -> None:
    world = World()
    other = replace(MODEL, id="wise", provider_model="w", base_url="http://w.invalid", secret="k")
    world.accounts.catalogues[ACCOUNT] = Catalogue((MODEL, other))
    world.secrets.values[ACCOUNT, "k"] = "the key"
    names = [plugin(world, 1, "always", model="wise")]
    world.describe(Kind.LLM_CLIENT, "adviser", plugins=names)
    await ask(world)
    request = world.provider.requests[0]
    assert (request.model.provider_model, request.model.base_url) == ("w", "http://w.invalid")
    assert request.api_key == "the key"


async def test_a_plugins_model_may_be_any_of_the_clients_provider() -> None:
    world = World()
    names = [plugin(world, 1, "always", model="gpt-4o")]
    config = {"provider": "openai", "defaultModel": "gpt-4o-mini"}
    world.secrets.values[ACCOUNT, "openai"] = "the key"
    world.describe(Kind.LLM_CLIENT, "adviser", plugins=names, config=config)
    await ask(world)
    request = world.provider.requests[0]
    assert (request.model.provider_model, request.api_key) == ("gpt-4o", "the key")


async def test_a_turn_of_a_deleted_client_is_not_asked_with_its_namesakes_setup() -> None:
    world = a_world()
    await world.add("a", client="adviser")
    world.describe(Kind.LLM_CLIENT, "adviser", number=2)
    await look(world)
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code) == (Status.ABANDONED, "client_gone")
    assert world.provider.requests == []


async def test_a_plugins_model_that_is_gone_is_asked_of_no_other_endpoint() -> None:
    world = World()
    world.describe(
        Kind.LLM_CLIENT, "adviser", plugins=[plugin(world, 1, "always", model="in-house")]
    )
    await ask(world)
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code) == (Status.ABANDONED, "unknown_model")
    assert "in-house" in prompt.error
    assert world.provider.requests == []


async def test_the_model_is_that_of_the_clients_provider() -> None:
    world = World()
    world.secrets.values[ACCOUNT, "openai"] = "the key"
    world.describe(
        Kind.LLM_CLIENT, "adviser", config={"provider": "openai", "defaultModel": "gpt-4o-mini"}
    )
    await ask(world)
    request = world.provider.requests[0]
    assert (request.model.provider_model, request.api_key) == ("gpt-4o-mini", "the key")
    assert "api.openai.com" in request.model.base_url


@pytest.mark.parametrize(
    ("client", "config", "code"),
    [
        ("nobody", {}, "client_gone"),
        ("adviser", {"provider": "nobody"}, "unknown_model"),
        ("adviser", {"defaultModel": "nothing"}, "unknown_model"),
    ],
)
async def test_a_client_that_is_gone_or_has_no_model_is_not_tried_again(
    client: str, config: dict[str, str], code: str
) -> None:
    world = a_world(config=config)
    await ask(world, client=client)
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code) == (Status.ABANDONED, code)
    assert prompt.attempts[-1].outcome is Outcome.REFUSED


# --- rounds ---------------------------------------------------------------------------------


async def test_calls_are_done_and_told_until_the_model_answers() -> None:
    world = a_world()
    world.tools.results["calculator"] = ToolResult("[2]")
    world.tools.results["date_calculator"] = ToolResult('[{"error": "when?"}]', failed=True)
    world.tools.seconds = {"calculator": 1.5, "date_calculator": 0.25}
    world.provider.scripts = [
        (Say("Let me"), Say(" see."), Ask((SUM, DATE), usage=Usage(1, 10))),
        (Ask((SUM,), finish_reason="stop", usage=None),),
        (Wait(1), Say("Two."), End("stop", Usage(5, 50))),
    ]
    start = world.clock.monotonic()
    await ask(world, followers=("c",))

    assert world.clock.monotonic() - start < 1.5 + 1.5 + 1 + 0.5, "a round's calls go in parallel"
    prompt = world.prompt("a")
    assert (prompt.status, prompt.attempts[-1].usage) == (Status.COMPLETED, Usage(6, 60))
    assert answered(world) == "Let me see.\n\nTwo."
    one, two = rounds(world)
    assert [(m.part, m.id, m.text) for m in (one, two)] == [
        (QUESTION + 1, answer_id("a", 1) + ".1", "Let me see."),
        (QUESTION + 2, answer_id("a", 1) + ".2", ""),
    ]
    assert one.calls == (
        ToolCall("call_1_1", *SUM, "[2]", "ok", 1500),
        ToolCall("call_1_2", *DATE, '[{"error": "when?"}]', "failed", 250),
    )
    second, third = world.provider.requests[1:]
    assert second.messages[-3:] == (
        ChatMessage(
            "assistant",
            "Let me see.",
            (ToolCall("call_1_1", *SUM), ToolCall("call_1_2", *DATE)),
        ),
        ChatMessage("tool", "[2]", call_id="call_1_1"),
        ChatMessage("tool", '[{"error": "when?"}]', call_id="call_1_2"),
    )
    assert third.messages[: len(second.messages)] == second.messages
    assert third.tools == second.tools


async def test_the_next_turn_is_asked_with_what_the_tools_said() -> None:
    world = a_world()
    world.provider.scripts = [(Say("Let me see."), Ask((SUM,))), (Say("Two."), End())]
    await ask(world)
    await ask(world, "b")
    roles = [m.role for m in world.provider.requests[-1].messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert [m.text for m in world.provider.requests[-1].messages[1:]] == [
        *("ask a", "Let me see.", '["calculator"]', "Two.", "ask b")
    ]


@pytest.mark.parametrize("limit", [0, 1, 3, 99])
async def test_a_model_that_never_stops_calling_has_to_answer(limit: int) -> None:
    world = a_world(limits={"toolRounds": limit})
    world.provider.otherwise = lambda request: (
        (Ask((SUM,)),) if request.tools else (Say("So be it."), Ask((SUM,)))
    )
    await ask(world)
    allowed = min(limit, ROUNDS_CAP)
    assert len(world.tools.calls) == len(rounds(world)) == allowed
    assert len(world.provider.requests) == allowed + 1
    assert answered(world) == "So be it."


SILENTLY = [(), (Say(" \n"),)]


@pytest.mark.parametrize("said", SILENTLY)
async def test_calls_of_what_was_never_offered_without_a_word_are_tried_again(
    said: tuple[Any, ...],
) -> None:
    world = a_world(limits={"toolRounds": 0})
    world.provider.scripts = [(*said, Ask((SUM,))), (Say("Two."), End())]
    await ask(world)
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code) == (Status.ERRORED, "malformed")
    assert (rounds(world), world.answer("a")) == ([], None)
    await world.clock.advance(2)
    await look(world)
    assert answered(world) == "Two."


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("said", SILENTLY)
async def test_calls_after_the_last_round_without_a_word_are_paid_for_once(
    limit: int, said: tuple[Any, ...]
) -> None:
    """Another attempt would make all of its calls again, and most likely end the same way."""
    world = a_world(limits={"toolRounds": limit})
    world.provider.otherwise = lambda request: (
        (Say("Hm."), Ask((SUM,))) if request.tools else (*said, Ask((SUM,)))
    )
    await ask(world)
    prompt = world.prompt("a")
    assert (prompt.status, prompt.error_code) == (Status.ABANDONED, "tool_rounds")
    assert f"limits.toolRounds is {limit}" in prompt.error
    assert (rounds(world), world.answer("a")) == ([], None)
    assert len(world.provider.requests) == limit + 1


@pytest.mark.parametrize("name", ["get_current_weather", "no_such_tool", ""])
async def test_what_was_not_offered_is_not_called(name: str) -> None:
    world = a_world()
    world.provider.scripts = [(Ask(((name, "{}"),)),), (Say("Well."), End())]
    await ask(world)
    assert world.tools.calls == []
    [call] = rounds(world)[0].calls
    assert (call.outcome, json.loads(call.result)) == (
        "failed",
        [{"error": "there is no such tool"}],
    )
    assert answered(world) == "Well."


@pytest.mark.parametrize("count", [CALLS_CAP, CALLS_CAP + 1, CALLS_KEPT])
async def test_of_too_many_calls_at_once_the_first_are_made_and_the_others_told_of(
    count: int,
) -> None:
    world = a_world()
    sums = tuple(("calculator", f'{{"expression": "{n}"}}') for n in range(count))
    world.provider.scripts = [(Ask(sums),), (Say("Well."), End())]
    await ask(world, followers=("c",))
    assert sorted(world.tools.calls) == sorted(sums[:CALLS_CAP])
    [round_] = rounds(world)
    assert [call.arguments for call in round_.calls] == [arguments for _, arguments in sums]
    done, others = round_.calls[:CALLS_CAP], round_.calls[CALLS_CAP:]
    assert {(call.outcome, call.result) for call in done} == {("ok", '["calculator"]')}
    assert all((call.outcome, call.milliseconds) == ("failed", 0) for call in others)
    assert all("32 calls" in json.loads(call.result)[0]["error"] for call in others)
    told = world.provider.requests[-1].messages[-count:]
    assert [message.call_id for message in told] == [call.id for call in round_.calls]
    assert len(tools_told(world)) == 2 * count
    assert answered(world) == "Well."


async def test_a_tool_gets_the_plugins_that_the_turn_has() -> None:
    world = World()
    names = [plugin(world, n, d) for n, d in enumerate(("search_terms", "llm", "always"), 1)]
    world.describe(Kind.LLM_CLIENT, "adviser", plugins=names)
    world.provider.scripts = [(Ask((("smarter_plugin_0000000003", "{}"),)),)]
    await ask(world)
    assert [plugin_.name for plugin_ in world.tools.plugins] == ["plugin3", "plugin2"]


async def test_large_results_are_cut_to_what_a_turn_can_store() -> None:
    world = a_world()
    world.tools.results["calculator"] = ToolResult("é" * 8192)
    world.provider.scripts = [(Ask((SUM,) * CALLS_KEPT),), (Ask((SUM,)),), (Say("x"), End())]
    await ask(world)
    one, two = rounds(world)
    results = [call.result.encode() for call in one.calls]
    assert max(map(len, results)) == RESULTS_BYTES // CALLS_CAP
    assert results[0].endswith(b"\n[cut: the result has 16384 bytes]")
    assert two.calls[0].result == "é" * 8192


async def test_a_result_that_no_store_takes_becomes_one() -> None:
    world = a_world()
    world.tools.results["calculator"] = ToolResult("half \ud83d")
    world.provider.scripts = [(Ask((SUM,)),)]
    await ask(world, followers=("c",))
    assert rounds(world)[0].calls[0].result == "half ?"


async def test_the_text_of_all_rounds_together_is_cut_at_the_limit() -> None:
    world = a_world()
    world.provider.otherwise = lambda _: (Say("é" * 75_000), Ask((SUM,)))
    await ask(world)
    answer = world.answer("a")
    assert answer is not None
    assert answer.finish_reason == "length"
    assert TEXT_LIMIT_BYTES - 2 < len(answer.text.encode()) <= TEXT_LIMIT_BYTES
    assert max(len(m.text.encode()) for m in rounds(world)) <= 32 * 1024


async def test_a_failing_stream_fails_the_attempt_and_its_rounds_with_it() -> None:
    world = a_world()
    world.provider.scripts = [
        (Say("A"), Ask((SUM,))),
        (Cut(),),
        (Say("B"), Ask((SUM,))),
        (Say("C"), End()),
    ]
    await ask(world)
    assert world.prompt("a").error_code == "cut"
    assert rounds(world) == []
    await world.clock.advance(2)
    await look(world)
    assert answered(world) == "B\n\nC"
    assert [m.text for m in rounds(world)] == ["B"]


# --- what followers hear -----------------------------------------------------------------------


async def test_followers_hear_of_tools_in_their_place_in_the_text() -> None:
    world = a_world()
    world.tools.seconds = {"calculator": 3, "date_calculator": 1}
    world.provider.scripts = [
        (Wait(1), Say("Let me"), Wait(1), Say(" see."), Ask((SUM, DATE))),
        (Ask((DATE,)),),
        (Wait(1), Say("Two."), Wait(1), End()),
    ]
    await ask(world, followers=("c",))
    told = [
        frame["text"] if frame["type"] == "delta" else (frame["name"], frame["state"])
        for frame in world.publisher.frames["c"]
        if frame["type"] in {"delta", "tool"}
    ]
    assert told == [
        "Let me",
        " see.",
        ("calculator", "started"),
        ("date_calculator", "started"),
        ("date_calculator", "done"),
        ("calculator", "done"),
        ("date_calculator", "started"),
        ("date_calculator", "done"),
        "\n\nTwo.",
    ]
    frames = [f for f in world.publisher.frames["c"] if f["type"] == "tool"]
    assert [f["round"] for f in frames] == [1, 1, 1, 1, 2, 2]
    assert {f["offset"] for f in frames} == {len("Let me see.")}
    assert frames[3] == {
        "type": "tool",
        "threadId": "t",
        "promptId": "a",
        "attempt": 1,
        "round": 1,
        "callId": "call_1_1",
        "name": "calculator",
        "plugin": "",
        "arguments": SUM[1],
        "state": "done",
        "outcome": "ok",
        "milliseconds": 3000,
        "size": len('["calculator"]'),
        "offset": 11,
    }
    deltas = world.publisher.deltas("c", "a")
    ends = [frame["end"] for frame in deltas]
    assert [frame["offset"] for frame in deltas] == [0, *ends[:-1]], "no gap between rounds"
    assert "".join(frame["text"] for frame in deltas) == answered(world)
    [message] = world.publisher.messages("c")
    assert message["text"] == answered(world)


@pytest.mark.parametrize("known", [{}, {"a": (1, 4)}, {"a": (1, 99)}])
async def test_a_later_follower_hears_of_the_running_attempts_tools_again(known: Any) -> None:
    world = a_world()
    world.provider.scripts = [(Say("Hm."), Ask((SUM,))), (Say("Two."), SILENT)]
    await world.add("a", client="adviser")
    world.runner()
    await world.clock.advance(5)
    await world.subscribe("late", known=known)
    await world.clock.advance(5)
    assert tools_told(world, "late") == [("calculator", "started", 3), ("calculator", "done", 3)]
    kept = "Hm.\n\nTwo."[: known.get("a", (0, 0))[1]]
    text = "".join(f["text"] for f in world.publisher.deltas("late", "a"))
    assert kept + text == "Hm.\n\nTwo."


async def test_a_follower_that_comes_at_the_end_hears_of_tools_and_has_the_message() -> None:
    world = a_world()
    world.provider.scripts = [(Say("Hm."), Ask((SUM,))), (Say("Two."), Wait(0.5), End())]
    await world.add("a", client="adviser")
    world.runner()
    await world.clock.advance(0.2)
    await world.subscribe("late")
    await world.clock.advance(5)
    told = [f["type"] for f in world.publisher.frames["late"]]
    assert told == ["tool", "tool", "message", "prompt"]


async def test_a_tool_event_of_unknown_outcome_is_repeated() -> None:
    world = a_world()
    world.provider.scripts = [(Ask((SUM,)),), (Say("Two."), End())]
    world.tools.seconds["calculator"] = 2
    opening = 2
    world.publisher.fates["c"] = [
        *[Fate.DELIVERED] * opening,
        *(Fate.LOST_UNKNOWN, Fate.ARRIVED_UNKNOWN, Fate.DELIVERED),
    ]
    await ask(world, followers=("c",))
    assert tools_told(world) == [
        ("calculator", "started", 0),
        ("calculator", "started", 0),
        ("calculator", "done", 0),
    ]


async def test_rounds_are_among_the_messages_of_a_subscribed_frame() -> None:
    world = a_world()
    world.provider.scripts = [(Say("Hm."), Ask((SUM,))), (Say("Two."), End())]
    await ask(world)
    frame = await world.subscribe("c")
    question, round_, answer = frame["messages"]
    assert [m["part"] for m in frame["messages"]] == [QUESTION, QUESTION + 1, ANSWER]
    assert "calls" not in question
    assert "calls" not in answer
    assert (round_["role"], round_["text"]) == ("tool", "")
    assert round_["calls"] == [
        {
            "id": "call_1_1",
            "name": "calculator",
            "plugin": "",
            "arguments": SUM[1],
            "outcome": "ok",
            "milliseconds": 0,
            "size": 14,
        }
    ]


def worst_calls(count: int) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(f"{n}" + "i" * 120, "n" * 64, "\x00" * 2048, "r" * 3000, "failed", 10**6)
        for n in range(count)
    )


@pytest.mark.parametrize("count", [1, 2, 3, CALLS_CAP, CALLS_KEPT])
def test_a_round_is_cut_to_fit_a_frame(count: int) -> None:
    calls = worst_calls(count)
    message = Message("a", "t", 1, 2, "m", Role.TOOL, "not told", 0, 0, calls=calls)
    frame = message_frame(message)
    assert len(encoded(frame)) <= FRAME_BYTES
    assert len(frame["message"]["calls"]) == count
    whole = len(encoded(frame["message"]["calls"][0])) > 10_000
    assert frame["message"]["truncated"] is not whole


async def test_a_round_that_does_not_fit_with_the_rest_is_cut_or_left_out() -> None:
    world = a_world()
    await ask(world)
    place = world.state.messages[ACCOUNT, "t"]
    message = replace(place[1, ANSWER], part=2, role=Role.TOOL, calls=worst_calls(32))
    del place[1, ANSWER]
    place[1, 2] = message
    frame = await world.subscribe("c")
    assert len(encoded(frame)) <= FRAME_BYTES
    assert frame["messages"][-1]["truncated"]
    assert frame["truncated"]


def test_a_tool_frame_is_small_and_has_at_most_2_kb_of_arguments() -> None:
    prompt = Prompt("acc", "p" * 128, "t" * 128, 1, "u", Status.RUNNING, 0, 0, "f", 5, run_count=9)
    frame = tool_frame(prompt, 1, replace(worst_calls(1)[0]), 7, done=True)
    assert len(frame["arguments"]) == 2048
    assert len(encoded(frame)) < FRAME_BYTES / 2
    accents = tool_frame(prompt, 1, ToolCall("c", "f", "xé" * 2000), 0, done=False)
    assert len(accents["arguments"].encode()) in {2047, 2048}
    assert (accents["size"], accents["outcome"]) == (0, "")


async def test_a_watcher_over_http_sees_the_text_of_all_rounds() -> None:
    world = a_world()
    world.provider.scripts = [(Say("Hm."), Ask((SUM,))), (Say("Two."), Wait(3), End())]
    world.tools.seconds["calculator"] = 3
    await world.add("a", client="adviser")
    await world.clock.run(world.stream(USER, "t", "", 0))
    world.runner()
    texts = []
    for _ in range(8):
        await world.clock.advance(1)
        live = world.memory.texts.get((ACCOUNT, "a"))
        texts.append(live.text if live else "")
    assert list(dict.fromkeys(texts))[-2:] == ["Hm.", "Hm.\n\nTwo."]
