"""The models of an account: what a model id stands for."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from parley.core.access import Principal
from parley.core.errors import Invalid
from parley.core.model import Catalogue, Model
from parley.ports import CatalogueStore

REMEMBER_SECONDS = 50
REMEMBERED = 1000


@dataclass
class Models:
    """Catalogues, remembered for less than a minute: `ports.Models`."""

    store: CatalogueStore
    monotonic: Callable[[], float] = time.monotonic
    _remembered: dict[str, tuple[float, Catalogue]] = field(default_factory=dict)

    async def resolve(self, account: str, model_id: str) -> Model:
        """The model with this id, or the default for an empty one; raises Invalid.

        An id that the remembered catalogue lacks may be newer than it: only the stored
        one can refuse.
        """
        known = self._remembered.get(account)
        if known and known[0] > self.monotonic():
            try:
                return known[1].resolve(model_id)
            except Invalid:
                pass
        return (await self.catalogue(account)).resolve(model_id)

    async def catalogue(self, account: str) -> Catalogue:
        """The stored catalogue, read now."""
        found = await self.store.catalogue(account)
        self._remember(account, found)
        return found

    async def replace(self, principal: Principal, catalogue: Catalogue) -> None:
        """Replace the whole catalogue of the caller's account; admins only."""
        principal.require_admin()
        await self.store.put_catalogue(principal.account, catalogue)
        self._remember(principal.account, catalogue)

    def _remember(self, account: str, catalogue: Catalogue) -> None:
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[account] = (self.monotonic() + REMEMBER_SECONDS, catalogue)
