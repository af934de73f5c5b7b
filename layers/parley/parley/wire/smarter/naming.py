"""Which model a chat's llm_client has, by name."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from parley.core.errors import Busy, Invalid, Unavailable
from parley.core.thread import MODEL, PROVIDER, Message
from parley.usecases.sessions import History
from parley.wire.http_calls import ChatCall


@dataclass(frozen=True, slots=True)
class Naming:
    """Provider and model, each empty if it is not known here."""

    provider: str
    model: str


async def read_naming(call: ChatCall, history: History) -> Naming:
    """`naming_of`, of a catalogue that is read if that is what it takes.

    Only where there is no turn yet: then config has one of its reads left, for there is no
    state of a prompt to read, and no answer that says it.
    """
    models, account = call.api.models, call.client.account
    naming = naming_of(call, history.messages)
    complete = naming.provider and naming.model
    if not complete and not history.messages and models.known(account) is None:
        with contextlib.suppress(Busy, Unavailable):  # It is nice to know, and no more.
            await models.catalogue(account)
        return naming_of(call)
    return naming


def naming_of(call: ChatCall, messages: Sequence[Message] = ()) -> Naming:
    """The provider and the model that answer.

    What the manifest leaves to the account's catalogue is known if that is remembered, else
    if one of the messages, oldest first, is an answer that fits the manifest.
    """
    client = call.client
    if catalogue := call.api.models.known(client.account):
        try:
            model = catalogue.resolve_with(client.provider, client.model)
        except Invalid:
            return Naming(client.provider, client.model)
        return Naming(*catalogue.named(client.provider, model))
    newest = next((one.meta for one in reversed(messages) if PROVIDER in one.meta), {})
    told = Naming(newest.get(PROVIDER, ""), newest.get(MODEL, ""))
    fits = (client.provider or told.provider, client.model or told.model)
    if fits == (told.provider, told.model):
        return told
    return Naming(client.provider, client.model)
