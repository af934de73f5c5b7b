"""The models of an account: what a model id stands for."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from parley.core.access import Principal
from parley.core.errors import Busy, Invalid, TooLarge, TransitionRefused
from parley.core.model import Catalogue, Model
from parley.core.remembered import Remembered
from parley.ports import CatalogueStore

REMEMBER_SECONDS = 50
CHANGE_TRIES = 5
TEMPLATE_LIMIT_BYTES = 8 * 1024
# The whole catalogue is one item, of which DynamoDB takes 400 KB, and is read with every
# attempt.
CATALOGUE_LIMIT_BYTES = 300 * 1024


class Models:
    """Catalogues, remembered for less than a minute: `ports.Models`."""

    def __init__(
        self, store: CatalogueStore, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self.remembered = Remembered[str, Catalogue](REMEMBER_SECONDS, monotonic)

    async def resolve(self, account: str, model_id: str) -> Model:
        """The model with this id, or the default for an empty one; raises Invalid.

        An id that the remembered catalogue lacks may be newer than it: only the stored
        one can refuse.
        """
        if known := self.remembered.get(account):
            try:
                return known.resolve(model_id)
            except Invalid:
                pass
        return (await self.catalogue(account)).resolve(model_id)

    def known(self, account: str) -> Catalogue | None:
        """The catalogue, if it is remembered: for what is nice to know, and not worth a read."""
        return self.remembered.get(account)

    async def catalogue(self, account: str) -> Catalogue:
        """The stored catalogue, read now."""
        found = await self.store.catalogue(account)
        self.remembered.put(account, found)
        return found

    async def replace(self, principal: Principal, catalogue: Catalogue) -> None:
        """Replace the models of the caller's account, keeping its providers; admins only.

        Raises TooLarge for a template over 8 KB or a catalogue over 300 KB.
        """
        await self.change(principal, lambda stored: replace(stored, models=catalogue.models))

    async def change(
        self, principal: Principal, edit: Callable[[Catalogue], Catalogue]
    ) -> Catalogue:
        """Store what `edit` makes of the stored catalogue; admins only.

        Race: somebody else changes it between our read and our write. The write is
        conditional on the version that was read, so `edit` is asked again, of theirs.
        Raises TooLarge as `replace`, Busy if that happens again and again.
        """
        principal.require_admin()
        for _ in range(CHANGE_TRIES):
            stored = await self.store.catalogue(principal.account)
            changed = replace(edit(stored), version=stored.version)
            check_size(changed)
            try:
                await self.store.put_catalogue(principal.account, changed)
            except TransitionRefused:
                continue
            changed = replace(changed, version=stored.version + 1)
            self.remembered.put(principal.account, changed)
            return changed
        raise Busy("the catalogue is being changed by somebody else")


def check_size(catalogue: Catalogue) -> None:
    """Raise TooLarge for what cannot be stored. As JSON, a little larger than what is stored."""
    if any(len(model.template.encode()) > TEMPLATE_LIMIT_BYTES for model in catalogue.models):
        raise TooLarge(f"models: a template is larger than {TEMPLATE_LIMIT_BYTES // 1024} KB")
    encoded = json.dumps(asdict(catalogue), ensure_ascii=False)
    if len(encoded.encode()) > CATALOGUE_LIMIT_BYTES:
        raise TooLarge(f"models are together larger than {CATALOGUE_LIMIT_BYTES // 1024} KB")
