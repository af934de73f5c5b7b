"""Where the API is and which key opens it.

Four sources, the first that names an API wins: the environment, the local stack's file that
`PARLEY_STACK` names, the file that `parley login` writes, and, for development, a local
stack's file below `.local` in this directory or a parent. A key is only ever sent to the API
it was saved with: an address from one source is never combined with a key from another,
unless both name the same API.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from parley_cli import private_file
from parley_cli.errors import NotAuthenticated, Usage

KEY_FORM = "a key is of ASCII characters, without spaces"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LOCAL_STACK = "the local stack"
STACK_VARIABLE = "PARLEY_STACK"
ENVIRONMENT = "the environment"
HOST = re.compile(r"[\w.:-]+")
NO_API = """no API is configured. Any of these does it:
  parley login --api https://...                  saves it and your key, which it asks for
  export PARLEY_API=https://... PARLEY_KEY=...    for this shell only
  make run                                        in Parley's directory: a local stack"""


@dataclass(frozen=True)
class Target:
    """An API with the key for it. `websocket` is empty where it is not known.

    `source` is where the address is from, `key_source` where the key is from.
    """

    api: str
    key: str = field(repr=False)
    websocket: str = ""
    source: str = ""
    key_source: str = ""


def config_file(env: Mapping[str, str]) -> Path:
    """Where `parley login` saves."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or Path.home()) / ".config")
    return Path(home) / "parley" / "config.toml"


def checked_url(url: str, schemes: tuple[str, ...], name: str) -> str:
    """The URL without a trailing slash; raises Usage if it is none of these schemes.

    An unencrypted address is only for this machine: the key would travel in the clear.
    """
    wrong = Usage(f"{name} must be a URL that begins with {schemes[0]}://, not {url!r}")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
    except ValueError:
        raise wrong from None
    if parts.scheme not in schemes or not parts.hostname or not HOST.fullmatch(parts.hostname):
        raise wrong
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
        raise NotAuthenticated(NO_API + which_of(stacks_near(directory)))
    same = [source for source in sources if source.api == chosen.api]
    keyed = next((source for source in (sources[0], *same) if source.key), None)
    if keyed is None:
        raise NotAuthenticated(
            f"there is no key for {chosen.api}. `parley login --api {chosen.api}` saves one, "
            "PARLEY_KEY holds one for this shell."
        )
    key = keyed.key
    if not is_key(key):
        raise NotAuthenticated(f"what {keyed.key_source} has as key is none: {KEY_FORM}")
    websocket = sources[0].websocket or next((s.websocket for s in same if s.websocket), "")
    return Target(
        checked_url(chosen.api, ("https", "http"), "the API's address"),
        key,
        checked_url(websocket, ("wss", "ws"), "the socket's address") if websocket else "",
        chosen.source,
        keyed.key_source,
    )


def is_key(text: str) -> bool:
    """True for what could be a key, which is sent in a header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def which_of(stacks: Sequence[Path]) -> str:
    """What to say where several local stacks run: none of them is taken for the one."""
    if len(stacks) < 2:
        return ""
    named = "".join(f"\n  export {STACK_VARIABLE}={stack}" for stack in stacks)
    return f"\nSeveral local stacks run here. One of these chooses one:{named}"


def _from_env(env: Mapping[str, str]) -> Target:
    return Target(
        env.get("PARLEY_API", "").rstrip("/"),
        env.get("PARLEY_KEY", "").strip(),
        env.get("PARLEY_WEBSOCKET", ""),
        ENVIRONMENT,
        "PARLEY_KEY",
    )


def _from_file(path: Path) -> Target:
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Target("", "")
    except (OSError, ValueError) as error:
        raise Usage(f"{path} cannot be read: {error}; `parley login` writes it anew") from None
    names = ("api", "key", "websocket")
    api, key, websocket = (str(stored.get(name, "")).rstrip("/") for name in names)
    return Target(api, key, websocket, str(path), str(path))


def _from_local_stack(env: Mapping[str, str], directory: Path) -> Target:
    stored = local_stack(env, directory)
    names = ("api", "admin_key", "websocket")
    api, key, websocket = (str(stored.get(name, "")).rstrip("/") for name in names)
    return Target(api, key, websocket, LOCAL_STACK, LOCAL_STACK)


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
    found = stacks_near(directory)
    return _stack_in(found[0]) if len(found) == 1 else {}


def stacks_near(directory: Path) -> list[Path]:
    """The files of local stacks in the nearest directory upwards that has any.

    `stack.json` is the one that is meant, whatever is beside it.
    """
    for parent in (directory, *directory.parents):
        local = parent / ".local"
        if (local / "stack.json").exists():
            return [local / "stack.json"]
        if found := sorted(local.glob("stack-*.json")):
            return found
    return []


def _stack_in(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Being written or ended just now, or another user's: as good as no local stack.
        return {}
    return stored if isinstance(stored, dict) else {}


def save_target(path: Path, target: Target) -> None:
    """Write the file of `parley login`."""
    # A JSON string is a TOML string.
    values = {"api": target.api, "key": target.key, "websocket": target.websocket}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items() if value)
    private_file.write(path, text)
