"""What to do about a refusal: the API says what is wrong, this knows the commands."""

import re
from urllib.parse import urlsplit

from parley_cli.config import ENVIRONMENT, LOOPBACK, Target

# By what the API calls a refusal.
WAYS: dict[str, str] = {
    "no_such_prompt": "`parley prompts list --all` lists those there are",
    "no_such_thread": "`parley threads list` lists those there are",
    "no_such_session": "`parley sessions list` lists those there are",
    "no_such_llm_client": "`parley get llmclients` lists what there is",
    "no_such_key": "`parley keys list` lists those there are",
    "unknown_model": "`parley models list` lists the catalogue",
    "wrong_cursor": "--after takes what the same list said after `more:`",
    "admin_needed": "`parley status` says whose key it is",
    "no_such_path": "is that the address of the API?",
}
ERRNO = re.compile(r"^\[Errno -?[0-9]+\] ")


def with_way_out(words: str, refusal: str) -> str:
    """The API's words for a refusal, and the command that helps on, if there is one."""
    way = WAYS.get(refusal, "")
    return f"{words}; {way}" if way else words


def absent(words: str, kind: str) -> str:
    """The API's words for what is not there of a kind, and the command that lists what is."""
    return f"{words}; `parley get {kind}` lists what there is"


def refused_key(words: str, target: Target) -> str:
    """A key that the API does not take: which one it was, and how to get and save another."""
    if not target.key_source:  # it is being tried by `login`
        return f"{words}; an admin makes one with `parley keys create`"
    first = ", once PARLEY_KEY is unset" if target.key_source == "PARLEY_KEY" else ""
    return (
        f"{words}: the one of {target.key_source}, for {target.api}. An admin makes another "
        f"with `parley keys create`; `parley login --api {target.api}` saves it{first}"
    )


def unreached(target: Target, why: str) -> str:
    """An API that nobody answers for: where its address is from, and what may be wrong."""
    words = f"{target.api} could not be reached: {ERRNO.sub('', why)}"
    if urlsplit(target.api).hostname in LOOPBACK:
        words += "; `make run` starts a local stack"
    if not target.source:  # it is being tried by `login`
        return words
    change = (
        "PARLEY_API names another"
        if target.source == ENVIRONMENT
        else ("`parley login --api URL` saves another")
    )
    return f"{words}. The address is from {target.source}; {change}"
