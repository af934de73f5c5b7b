"""What to do about a refusal: the API says what is wrong, this knows the commands."""

import re
from urllib.parse import urlsplit

from parley_cli.config import ENVIRONMENT, LOOPBACK, Target

# By the API's own words, where these are all there is of it.
WAYS: dict[str, str] = {
    "no such prompt": "`parley prompts list --all` lists those there are",
    "no such thread": "`parley threads list` lists those there are",
    "no such session": "`parley sessions list` lists those there are",
    "no such llm_client": "`parley get llmclients` lists what there is",
    "no such key": "`parley keys list` lists those there are",
    "unknown modelId": "`parley models list` lists the catalogue",
    "the cursor is not one of this list": "--after takes what the same list said after `more:`",
    "this call needs an admin key": "`parley status` says whose key it is",
    "no such path": "is that the address of the API?",
}
ABSENT = re.compile(r"there is no (\w+) \S+")
ERRNO = re.compile(r"^\[Errno -?[0-9]+\] ")


def with_way_out(words: str) -> str:
    """The API's words, and the command that helps on, if there is one."""
    way = WAYS.get(words, "")
    if absent := ABSENT.fullmatch(words):
        way = f"`parley get {absent[1]}` lists what there is"
    return f"{words}; {way}" if way else words


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
