"""Which model a chat's llm_client has, by name: of that nothing is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from parley.core.errors import Invalid
from parley.core.thread import MODEL, PROVIDER, Message
from parley.wire.http_calls import ChatCall


@dataclass(frozen=True, slots=True)
class Naming:
    """Provider and model, each empty if it is not known here."""

    provider: str
    model: str


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
