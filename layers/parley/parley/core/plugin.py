"""Static plugins: data that a model may ask for."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StaticPlugin:
    """A plugin as its manifest describes it; `number` is its integer id in the account."""

    name: str
    number: int
    description: str = ""
    directive: str = "always"
    search_terms: tuple[str, ...] = ()
    system_role: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int = 0
    static_data: dict[str, Any] = field(default_factory=dict)
