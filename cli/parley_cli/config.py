"""Where the API is and which key opens it.

Three sources, the first that names an API wins: the environment, the file that
`parley login` writes, and, for development, the local stack's `.local/stack.json` in this
directory or a parent. A key is only ever sent to the API it was saved with: an address
from one source is never combined with a key from another, unless both name the same API.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from parley_cli.errors import NotAuthenticated, Usage

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Target:
    """An API with the key for it. `websocket` is empty where it is not known."""

    api: str
    key: str = field(repr=False)
    websocket: str = ""
    source: str = ""


def config_file(env: Mapping[str, str]) -> Path:
    """Where `parley login` saves."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or Path.home()) / ".config")
    return Path(home) / "parley" / "config.toml"


def checked_url(url: str, schemes: tuple[str, ...], name: str) -> str:
    """The URL without a trailing slash; raises Usage if it is none of these schemes.

    An unencrypted address is only for this machine: the key would travel in the clear.
    """
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise Usage(f"{name} must be a URL that begins with {schemes[0]}://")
    if parts.scheme in {"http", "ws"} and parts.hostname not in LOOPBACK:
        raise Usage(f"{name} must begin with {schemes[0]}://: a key is not sent unencrypted")
    return url.rstrip("/")


def socket_beside(api: str) -> str:
    """Where the socket of an API is if both are behind one domain: `{api}/ws`."""
    return "ws" + api.removeprefix("http") + "/ws"


def load_target(env: Mapping[str, str], directory: Path) -> Target:
    """What commands talk to; raises NotAuthenticated with a way out if there is nothing."""
    sources = [_from_env(env), _from_file(config_file(env)), _from_local_stack(directory)]
    chosen = next((source for source in sources if source.api), None)
    if chosen is None:
        raise NotAuthenticated(
            "no API is configured. Use `parley login --api URL`, or set PARLEY_API and "
            "PARLEY_KEY. On a development machine `make run` starts a local stack."
        )
    same = [source for source in sources if source.api == chosen.api]
    key = sources[0].key or next((source.key for source in same if source.key), "")
    if not key:
        raise NotAuthenticated(
            f"there is no key for {chosen.api}. Use `parley login --api {chosen.api}`, "
            "or set PARLEY_KEY."
        )
    websocket = sources[0].websocket or next((s.websocket for s in same if s.websocket), "")
    return Target(
        checked_url(chosen.api, ("https", "http"), "the API's address"),
        key,
        checked_url(websocket, ("wss", "ws"), "the socket's address") if websocket else "",
        chosen.source,
    )


def _from_env(env: Mapping[str, str]) -> Target:
    return Target(
        env.get("PARLEY_API", "").rstrip("/"),
        env.get("PARLEY_KEY", "").strip(),
        env.get("PARLEY_WEBSOCKET", ""),
        "the environment",
    )


def _from_file(path: Path) -> Target:
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Target("", "")
    except (OSError, ValueError) as error:
        raise Usage(f"{path} cannot be read: {error}") from error
    names = ("api", "key", "websocket")
    api, key, websocket = (str(stored.get(name, "")).rstrip("/") for name in names)
    return Target(api, key, websocket, str(path))


def _from_local_stack(directory: Path) -> Target:
    for parent in (directory, *directory.parents):
        path = parent / ".local" / "stack.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            # Being written just now, or another user's: as good as no local stack.
            return Target("", "")
        if not isinstance(stored, dict):
            return Target("", "")
        names = ("api", "admin_key", "websocket")
        api, key, websocket = (str(stored.get(name, "")).rstrip("/") for name in names)
        return Target(api, key, websocket, "the local stack")
    return Target("", "")


def save_target(path: Path, target: Target) -> None:
    """Write the file of `parley login`, readable by its owner only from the first byte."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A JSON string is a TOML string.
    values = {"api": target.api, "key": target.key, "websocket": target.websocket}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items() if value)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
