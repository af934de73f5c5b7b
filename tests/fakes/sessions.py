"""Sessions of an llm_client on top of `World`: what people who chat meet."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from parley.adapters.memory import MemoryChat
from parley.core.errors import ParleyError
from parley.core.llm_client import Limits, LlmClient, Look
from parley.core.resource import Kind
from parley.usecases.converse import Converse, Said, Turned
from parley.usecases.sessions import Sessions

from tests.fakes.world import ACCOUNT, OTHER_ACCOUNT, World

CLIENT = LlmClient(
    account=ACCOUNT,
    name="stackademy",
    number=1,
    deployed=True,
    look=Look(app_welcome_message="Welcome!", app_example_prompts=("One?", "Two?")),
)
SIBLING = replace(CLIENT, name="other", number=2)
FOREIGN = replace(CLIENT, account=OTHER_ACCOUNT)
KEY = "ab" * 32


def limited(**limits: Any) -> LlmClient:
    """The llm_client with other limits."""
    return replace(CLIENT, limits=Limits(**limits))


class SessionWorld(World):
    """A world whose threads are sessions, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for client in (CLIENT, SIBLING):
            self.describe(Kind.LLM_CLIENT, client.name, number=client.number)
        prompts, threads = self.accept.prompts, self.read.threads
        self.turns = MemoryChat()
        self.sessions = Sessions(prompts, threads, self.delete_thread, self.clock, self.ids)
        self.converse = Converse(
            accept=self.accept,
            sessions=self.sessions,
            cancel_prompt=self.cancel,
            retry_prompt=self.retry,
            prompts=prompts,
            threads=threads,
            chat=self._port(self.turns, "chat"),
            clock=self.clock,
            ids=self.ids,
        )

    async def opened(self, client: LlmClient = CLIENT) -> str:
        """The key of a fresh session."""
        return (await self.clock.run(self.sessions.open(client, ""))).key

    async def say(
        self, key: str, text: str, after: str = "", client: LlmClient = CLIENT, **said: Any
    ) -> Turned:
        """Post what somebody says; nobody waits for the answer."""
        return await self.clock.run(self.saying(key, text, after, client, **said))

    def saying(
        self, key: str, text: str, after: str = "", client: LlmClient = CLIENT, **said: Any
    ) -> Coroutine[Any, Any, Turned]:
        """The same, for an actor to do."""
        return self.converse(client, key, Said(text, after, source_ip="192.0.2.1", **said), 0)

    async def refused(self, key: str, text: str, **said: Any) -> ParleyError:
        """The error that saying this meets."""
        try:
            await self.say(key, text, **said)
        except ParleyError as error:
            return error
        raise AssertionError(f"{text!r} was not refused")

    async def texts(self, key: str, client: LlmClient = CLIENT) -> list[str]:
        """What the session says, oldest first, as a reader gets it."""
        session = await self.clock.run(self.sessions.require(client, key))
        history = await self.clock.run(self.sessions.history(session))
        return [message.text for message in history.messages]
