"""Cursors of lists: opaque, and bound to the list they come from."""

import base64
import binascii
import json
import re
from dataclasses import replace

from parley.adapters.dynamodb_expressions import Span
from parley.core.errors import WrongCursor

POSITION = re.compile(r"[!-~]{1,512}")


def cursor(name: str, position: str) -> str:
    """Where a page of the list `name` ended."""
    return base64.urlsafe_b64encode(json.dumps([name, position]).encode()).decode()


def position_in(name: str, after: str) -> str:
    """The position in a cursor, "" for none; raises WrongCursor for one of another list.

    A position is only ever a bound within the caller's own partition: a forged one shows
    nothing that the list itself would not show (I8).
    """
    if not after:
        return ""
    try:
        value = json.loads(base64.b64decode(after.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        value = None
    match value:
        case [str(of), str(position)] if of == name and POSITION.fullmatch(position):
            return position
    raise WrongCursor


def beyond(span: Span, position: str) -> Span:
    """The span from a position on. It includes the position, which the caller skips.

    A position below the span's own end is moved there, or a forged cursor of a thread's
    messages would reach the thread's other items.
    """
    if not position:
        return span
    low, high = str(span.low), str(span.high)
    at = min(max(position, low), high)
    return replace(span, high=at) if span.descending else replace(span, low=at)
