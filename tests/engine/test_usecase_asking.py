"""What goes to the model besides the conversation, from the first turn to the last."""

import pytest
from parley.core.resource import Kind
from parley.core.thread import CALLED_UP

from tests.engine.test_usecase_rounds import a_world, ask, plugin
from tests.fakes.provider import Ask, Say
from tests.fakes.world import ACCOUNT, World

WELCOME = {"appWelcomeMessage": "Beginner or advanced?", "appExamplePrompts": ["What is AI?"]}


def offered(world: World) -> list[str]:
    """The tools of the newest request."""
    return [tool.name for tool in world.provider.requests[-1].tools]


async def test_the_model_sees_what_the_person_was_greeted_with_as_long_as_all_is_there() -> None:
    world = a_world(config=WELCOME, context={"turns": 2})
    for n in range(3):
        await ask(world, f"p{n}")
    first, second, third = world.provider.requests
    greeting = [
        "Beginner or advanced?",
        "Some things you can ask:\n\n- What is AI?",
    ]
    assert [m.text for m in first.messages[1:]] == [*greeting, "ask p0"]
    assert [m.role for m in first.messages[1:3]] == ["assistant", "assistant"]
    assert [m.text for m in second.messages[1:3]] == greeting
    assert [m.text for m in third.messages[1:2]] == ["ask p1"], "the beginning is out of reach"


async def test_a_prompt_without_an_llm_client_has_no_greeting() -> None:
    world = a_world(config=WELCOME)
    await ask(world, client="")
    assert [m.text for m in world.provider.requests[-1].messages] == ["ask a"]


@pytest.mark.parametrize("turns", [2, 20])
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


async def test_an_answer_says_which_plugins_a_term_has_called_up_and_a_round_does_not() -> None:
    world = a_world(plugins=["plugin1", "plugin2"])
    plugin(world, 1, "search_terms")
    plugin(world, 2, "always")
    world.provider.scripts = [(Say("Let me see."), Ask((("calculator", "{}"),)))]
    await ask(world, "p0", "a gobstopper")
    kept = {m.part: m.meta for m in world.state.messages[ACCOUNT, "t"].values()}
    assert [meta[CALLED_UP] for meta in kept.values() if CALLED_UP in meta] == ["1"]
    assert len(kept) == 3
