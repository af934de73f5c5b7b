"""Which provider and model a chat says that it has, where the manifest leaves it open."""

from collections.abc import Iterator
from typing import Any

import pytest
from parley.core.errors import Busy, Unavailable
from parley.core.model import Catalogue, Model, ProviderEntry
from parley.core.resource import Kind
from parley.usecases.catalogue import REMEMBER_SECONDS

from tests.fakes.chaos import BEFORE
from tests.fakes.provider import Fail
from tests.fakes.world import ACCOUNT
from tests.wire.chat_client import CONFIG, ChatClient, told

OPEN = {name: value for name, value in CONFIG.items() if name != "defaultModel"}
HOUSE = ProviderEntry("house", "https://llm.example.com/v1", default_model="large")
MODELS = (
    Model("fast", "https://api.openai.com/v1/", "gpt-4o-mini", default=True),
    Model("own", "https://elsewhere.example.com/v1", "mistral"),
    Model("home", HOUSE.base_url, "small"),
)


@pytest.fixture
def client() -> Iterator[ChatClient]:
    made = ChatClient()
    made.world.accounts.catalogues[ACCOUNT] = Catalogue(MODELS, (HOUSE,))
    made.describe("stackademy", 1, config=OPEN)
    yield made
    made.close()


def named(client: ChatClient, key: str = "") -> tuple[str, str]:
    chatbot = client.at("POST", "/config/", {"session_key": key}).json["data"]["chatbot"]
    return chatbot["provider"], chatbot["default_model"]


def remember(client: ChatClient) -> None:
    client.run(client.api.models.catalogue(ACCOUNT))


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, ("openai", "fast")),
        ({"defaultModel": "own"}, ("openai-compatible", "own")),
        ({"defaultModel": "home"}, ("house", "home")),
        ({"provider": "house"}, ("house", "large")),
        ({"provider": "openai", "defaultModel": "gpt-5"}, ("openai", "gpt-5")),
        ({"defaultModel": "gone"}, ("", "gone")),
    ],
)
def test_a_remembered_catalogue_says_it(
    client: ChatClient, config: dict[str, Any], wanted: tuple[str, str]
) -> None:
    client.describe("stackademy", 1, config=OPEN | config)
    remember(client)
    assert named(client) == wanted


def reads(client: ChatClient) -> int:
    return client.world.conductor.calls("accounts.catalogue")


def test_without_one_it_is_read_as_long_as_nothing_was_asked(client: ChatClient) -> None:
    assert named(client) == ("openai", "fast")
    assert named(client) == ("openai", "fast")
    assert reads(client) == 1
    client.run(client.world.clock.sleep(REMEMBER_SECONDS + 1))
    assert named(client, client.opened()) == ("openai", "fast")
    assert reads(client) == 2


def test_what_the_manifest_names_is_not_read_for(client: ChatClient) -> None:
    client.describe("stackademy", 1, config=OPEN | {"provider": "house", "defaultModel": "large"})
    assert named(client) == ("house", "large")
    assert reads(client) == 0


@pytest.mark.parametrize("error", [Busy("x"), Unavailable("x")])
def test_a_catalogue_that_cannot_be_read_keeps_no_chat_closed(
    client: ChatClient, error: Exception
) -> None:
    client.world.conductor.fail("accounts.catalogue", BEFORE, error)
    assert named(client) == ("", "")


def test_then_the_newest_answer_says_it_and_nothing_is_read(client: ChatClient) -> None:
    key = client.opened()
    client.answered(key, "hello")
    client.world.provider.scripts.append([Fail(retryable=False)])
    client.answered(key, "fails")
    client.world.models.remembered.forget_all()
    before = reads(client)
    assert named(client, key) == ("openai", "fast")
    assert reads(client) == before


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"defaultModel": "own"}, ("", "own")),
        ({"provider": "house"}, ("house", "")),
        ({"defaultModel": "fast"}, ("openai", "fast")),
    ],
)
def test_but_not_one_of_another_manifest(
    client: ChatClient, config: dict[str, Any], wanted: tuple[str, str]
) -> None:
    key = client.opened()
    client.answered(key, "hello")
    client.world.models.remembered.forget_all()
    client.describe("stackademy", 1, config=OPEN | config)
    assert named(client, key) == wanted


def test_an_answer_names_the_model_that_gave_it(client: ChatClient) -> None:
    key = client.opened()
    body = client.answered(key, "hello")
    assert (body["model"], body["metadata"]["model"]) == ("fast", "fast")
    client.describe("stackademy", 1, config=OPEN | {"provider": "house"})
    client.world.setups.remembered.forget_all()
    body = client.answered(key, "hello again")
    assert (body["model"], body["metadata"]["model"]) == ("large", "large")


def test_a_model_that_a_plugin_chose_is_the_answers_and_not_the_chats(client: ChatClient) -> None:
    spec = {
        "selector": {"directive": "always"},
        "prompt": {"systemRole": "Know the courses.", "model": "own"},
        "data": {"description": "Courses.", "staticData": {"ai": "AI 101"}},
    }
    client.world.describe(Kind.PLUGIN, "courses", number=11, **spec)
    key = client.opened()
    assert client.answered(key, "hello")["model"] == "own"
    client.world.models.remembered.forget_all()
    assert named(client, key) == ("", "")


def figures(body: dict[str, Any]) -> tuple[float | None, int]:
    return body["metadata"]["temperature"], body["metadata"]["max_completion_tokens"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ({"temperature": 0.9, "maxTokens": 33}, (0.9, 33)),
        ({"temperature": 0.0}, (0.0, 2048)),
        ({"maxTokens": 33}, (0.5, 33)),
        ({}, (0.5, 2048)),
    ],
)
def test_an_answer_tells_the_figures_that_it_was_asked_for_with(
    client: ChatClient, prompt: dict[str, Any], expected: tuple[float, int]
) -> None:
    spec = {
        "selector": {"directive": "always"},
        "prompt": {"systemRole": "Know the courses."} | prompt,
        "data": {"description": "Courses.", "staticData": {"ai": "AI 101"}},
    }
    client.world.describe(Kind.PLUGIN, "courses", number=11, **spec)
    body = client.answered(client.opened(), "hello")
    [request] = client.world.provider.requests
    assert figures(body) == (request.temperature, request.model.max_tokens) == expected


@pytest.mark.parametrize("temperature", [0.25, None])
def test_and_tells_the_same_when_the_manifest_has_changed(
    client: ChatClient, temperature: float | None
) -> None:
    client.describe("stackademy", 1, config=OPEN | {"defaultTemperature": temperature})
    key, intro = client.opened(), {"role": "assistant", "content": "Welcome!", "id": "intro.1"}
    client.answered(key, "hello", intro)
    client.describe("stackademy", 1, config=OPEN | {"defaultTemperature": 1, "defaultMaxTokens": 7})
    again = told(client.say(key, "hello", intro))
    assert again["status"] == 200
    assert figures(again) == (temperature, 2048)


def test_what_has_no_answer_names_what_would_answer(client: ChatClient) -> None:
    key = client.opened()
    client.world.models.remembered.forget_all()
    assert told(client.say(key, "hello"))["model"] == ""
    remember(client)
    limited = told(client.say(key, "x" * 20_000))
    assert (limited["model"], limited["metadata"]["model"]) == ("fast", "fast")
