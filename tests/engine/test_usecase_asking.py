"""What goes to the model besides the conversation, from the first turn to the last."""

import pytest
from parley.core.resource import Kind
from parley.core.thread import CALLED_UP
from parley.ports import ToolResult

from tests.engine.test_usecase_rounds import a_world, ask, look, plugin
from tests.fakes.provider import Ask, End, Say
from tests.fakes.world import ACCOUNT, World

WELCOME = {"appWelcomeMessage": "Beginner or advanced?", "appExamplePrompts": ["What is AI?"]}


def offered(world: World) -> list[str]:
    """The tools of the newest request."""
    return [tool.name for tool in world.provider.requests[-1].tools]


GREETING = (
    "You have begun the conversation with this:\n\nBeginner or advanced?\n\n"
    "Some things you can ask:\n\n- What is AI?"
)


async def test_the_model_knows_what_the_person_was_greeted_with_as_long_as_all_is_there() -> None:
    world = a_world(config=WELCOME, context={"turns": 2})
    for n in range(3):
        await ask(world, f"p{n}")
    first, second, third = (request.messages for request in world.provider.requests)
    assert first[0].text.endswith(f"\n\n{GREETING}")
    assert second[0].text.endswith(f"\n\n{GREETING}")
    assert GREETING not in third[0].text, "the beginning is out of reach"
    assert [m.role for m in first] == ["system", "user"], "many models want them to take turns"


@pytest.mark.parametrize(("tokens", "there"), [(10_000, True), (1_500, False)])
async def test_a_greeting_goes_only_where_it_has_room(*, tokens: int, there: bool) -> None:
    examples = ["x" * 200] * 20
    world = a_world(config=WELCOME | {"appExamplePrompts": examples}, context={"tokens": tokens})
    await ask(world, text="y" * 2000)
    assert ("Beginner or advanced?" in world.provider.requests[0].messages[0].text) is there


async def test_a_round_of_calls_without_room_is_something_left_out() -> None:
    world = a_world(config=WELCOME, functions=["calculator"], context={"tokens": 400})
    world.tools.results["calculator"] = ToolResult("z" * 4000)
    world.provider.scripts = [(Say("Let me see."), Ask((("calculator", "{}"),)))]
    await ask(world, "p0")
    await ask(world, "p1")
    newest = world.provider.requests[-1].messages
    assert [m.role for m in newest] == ["system", "user", "assistant", "user"]
    assert GREETING not in newest[0].text


async def test_a_prompt_without_an_llm_client_has_no_greeting() -> None:
    world = a_world(config=WELCOME)
    await ask(world, client="")
    assert [m.text for m in world.provider.requests[-1].messages] == ["ask a"]


@pytest.mark.parametrize("turns", [1, 2, 20])
async def test_a_plugin_that_a_term_has_called_up_stays_for_the_session(turns: int) -> None:
    world = a_world(functions=[], context={"turns": turns})
    names = [plugin(world, 1, "search_terms"), plugin(world, 2, "search_terms")]
    world.describe(Kind.LLM_CLIENT, "adviser", plugins=names, context={"turns": turns})
    world.resources.stored[ACCOUNT, Kind.PLUGIN, "plugin2"].spec["selector"]["searchTerms"] = ["x1"]
    await ask(world, "p0", "hello")
    assert offered(world) == []
    await ask(world, "p1", "a gobstopper, please")
    for n in range(2, 6):
        await ask(world, f"p{n}", "and another")
        assert offered(world) == ["smarter_plugin_0000000001"]


async def test_it_stays_after_an_answer_that_is_too_long_for_the_context() -> None:
    world = a_world(functions=[], plugins=["plugin1"], context={"tokens": 100})
    plugin(world, 1, "search_terms")
    world.provider.scripts = [(Say("z" * 4000), End())]
    await ask(world, "p0", "a gobstopper, please")
    for n in range(1, 4):
        await ask(world, f"p{n}", "and another")
        assert offered(world) == ["smarter_plugin_0000000001"]


async def test_a_question_that_was_replaced_calls_nothing_up() -> None:
    world = a_world(functions=[], plugins=["plugin1"])
    plugin(world, 1, "search_terms")
    await ask(world, "p0", "a gobstopper, please")
    await world.add("p1", text="something else", client="adviser", replaces=1)
    await look(world, "p1")
    assert offered(world) == []


async def test_an_answer_says_which_plugins_a_term_has_called_up_and_a_round_does_not() -> None:
    world = a_world(plugins=["plugin1", "plugin2"])
    plugin(world, 1, "search_terms")
    plugin(world, 2, "always")
    world.provider.scripts = [(Say("Let me see."), Ask((("calculator", "{}"),)))]
    await ask(world, "p0", "a gobstopper")
    kept = {m.part: m.meta for m in world.state.messages[ACCOUNT, "t"].values()}
    assert [meta[CALLED_UP] for meta in kept.values() if CALLED_UP in meta] == ["1"]
    assert len(kept) == 3
