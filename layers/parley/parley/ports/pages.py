"""A page of a list, as every store gives one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items and, if there may be more, where the next page starts."""

    items: Sequence[T]
    after: str = ""
