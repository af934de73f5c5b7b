"""The published React component, unchanged, on a page around it (`tests/clients/ui-chat`)."""

from pathlib import Path
from urllib.parse import urlencode

from local.deployment import LOCAL
from tests.e2e.node import CLIENTS

PROJECT = CLIENTS / "ui-chat"
# By `make`, before the tests.
BUILT = LOCAL / "ui-chat"


def built() -> Path:
    """The directory with both builds, production and development."""
    assert (BUILT / ".built").exists(), "The component is not built: `make test` builds it."
    return BUILT


def address(origin: str, api: str, *, strict: bool = False) -> str:
    """The page with the component on it, pointed at an llm_client; `strict`: React's StrictMode."""
    query = {"api": api} | ({"strict": "1"} if strict else {})
    return f"{origin}/{'development' if strict else 'production'}/?{urlencode(query)}"
