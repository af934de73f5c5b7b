"""What a fresh local stack is given: an account with two keys, and the development model."""

from collections.abc import Mapping
from typing import TypedDict

ACCOUNT = "3141-5926-5359"


class Seeded(TypedDict):
    """The account of the local stack and its two keys."""

    admin_key: str
    user_key: str
    account: str


async def seed(outputs: Mapping[str, str], env: Mapping[str, str], llm_base_url: str) -> Seeded:
    """Put the account, the keys and the model catalogue into a deployed stack.

    `outputs` are the stack's, `env` makes AWS tools talk to the emulator, `llm_base_url` is the
    OpenAI-compatible endpoint that the catalogue's models point to.
    """
    del outputs, env, llm_base_url  # Until `parley bootstrap` is there.
    return {"admin_key": "", "user_key": "", "account": ACCOUNT}
