"""Session keys that `parley chat` goes on with, one file each, readable by their owner only.

Whoever has such a key reads the conversation, so they are kept like keys of the API. A
file is named by what the session belongs to: the API, the account, the llm_client.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from parley_cli import private_file
from parley_cli.errors import Usage

SESSION_KEY = re.compile(r"[a-f0-9]{64}")


def state_directory(env: Mapping[str, str]) -> Path:
    """Where what is remembered between commands is kept."""
    home = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or Path.home()) / ".local/state")
    return Path(home) / "parley"


@dataclass(frozen=True)
class KeptSession:
    """The place of one session key."""

    path: Path

    def key(self) -> str:
        """The key, or "" if there is none or what is there is no key."""
        try:
            text = self.path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise Usage(f"{self.path} cannot be read: {error}") from None
        return text if SESSION_KEY.fullmatch(text) else ""

    def keep(self, key: str) -> None:
        """Write it, in the place of the one before."""
        private_file.write(self.path, f"{key}\n")


def kept_session(env: Mapping[str, str], api: str, account: str, client: str) -> KeptSession:
    """Where the session key of an llm_client of an account behind an API is kept."""
    parts = (quote(part, safe="").lstrip(".") or "_" for part in (api, account, client))
    return KeptSession(state_directory(env).joinpath("sessions", *parts))
