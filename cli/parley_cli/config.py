"""Where the API is and which key opens it.

Four sources, the first that names an API wins: the environment, the local stack's file that
`PARLEY_STACK` names, the file that `parley login` writes, and, for development, a local
stack's file below `.local` in this directory or a parent. A key is only ever sent to the API
it was saved with: an address from one source is never combined with a key from another,
unless both name the same API.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from parley_cli.errors import NotAuthenticated, Usage

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LOCAL_STACK = "the local stack"
STACK_VARIABLE = "PARLEY_STACK"


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
    local = _from_local_stack(env, directory)
    sources = [_from_env(env), _from_file(config_file(env))]
    sources.insert(1 if env.get(STACK_VARIABLE) else 2, local)
    chosen = next((source for source in sources if source.api), None)
    if chosen is None:
        raise NotAuthenticated(
            "no API is configured. Use `parley login --api URL`, or set PARLEY_API and "
            "PARLEY_KEY. On a development machine `make run` starts a local stack; of several "
            f"at once {STACK_VARIABLE} names the file of the one that is meant."
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


def _from_local_stack(env: Mapping[str, str], directory: Path) -> Target:
    stored = local_stack(env, directory)
    names = ("api", "admin_key", "websocket")
    api, key, websocket = (str(stored.get(name, "")).rstrip("/") for name in names)
    return Target(api, key, websocket, LOCAL_STACK)


def local_stack(env: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """What the file of a local stack says; empty if there is none, or none that is the one.

    It is the file that PARLEY_STACK names, else the nearest `.local/stack.json`, else the
    only `.local/stack-PORT.json` beside where that would be. Raises Usage if the named one
    cannot be read.
    """
    if named := env.get(STACK_VARIABLE):
        stored = _stack_in(Path(named))
        if not stored:
            raise Usage(f"{STACK_VARIABLE}: {named} is not the file of a running local stack")
        return stored
    for parent in (directory, *directory.parents):
        local = parent / ".local"
        if (local / "stack.json").exists():
            return _stack_in(local / "stack.json")
        found = sorted(local.glob("stack-*.json"))
        if found:
            return _stack_in(found[0]) if len(found) == 1 else {}
    return {}


def _stack_in(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Being written or ended just now, or another user's: as good as no local stack.
        return {}
    return stored if isinstance(stored, dict) else {}


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
