"""What was typed, piped or named as a file, as text: UTF-8, whatever the locale says."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from parley_cli.errors import Usage

STDIN = "-"


def called(name: str) -> str:
    """What people call a file; `-` is stdin."""
    return "stdin" if name == STDIN else name


def read_text(name: str) -> str:
    """The text of a file, of stdin for `-`, without a byte order mark; raises Usage."""
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Usage(f"{called(name)} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise Usage(f"{called(name)} cannot be read: {why}") from None


def as_utf8(words: Iterable[str]) -> list[str]:
    """The words of a command line; raises Usage for one that is no text.

    In the locale C Python keeps bytes beyond ASCII as surrogates, which no call can send.
    """
    return [_as_utf8(word) for word in words]


def _as_utf8(word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(word).decode()
        except UnicodeError:
            shown = word.encode(errors="backslashreplace").decode()
            raise Usage(f"what was typed is not UTF-8 text: {shown}") from None
    return word
