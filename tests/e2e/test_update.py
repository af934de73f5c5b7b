"""An update of the stack while prompts are in flight."""

import os
import subprocess
import sys

from tests.e2e.client import Client
from tests.e2e.conftest import Follow
from tests.e2e.model import Model
from tests.e2e.stack import ROOT, Stack

SECONDS = 300


def deploy_again(stack: Stack, **parameters: str) -> None:
    """`make update` with changed parameters."""
    changed = " ".join(f"{name}={value}" for name, value in parameters.items())
    subprocess.run(
        [sys.executable, "-m", "local.update", str(stack.file)],
        cwd=ROOT,
        env=os.environ | {"STACK_PARAMETERS": changed},
        check=True,
        timeout=SECONDS,
    )


def test_an_update_loses_no_prompt_in_flight(
    stack: Stack, user: Client, model: Model, word: str, follow: Follow
) -> None:
    model.told(f"streaming {word}", stall_after=8)
    model.told(f"failing {word}", fail={"status": 503, "retry_after": 3, "count": 2})
    streaming = user.add(f"streaming {word}")
    socket = follow(user, streaming["threadId"])
    socket.until_heard(streaming["id"], words=8)
    behind = user.add(f"behind {word}", threadId=streaming["threadId"])
    failing = user.add(f"failing {word}")
    user.until_status(failing["id"], "errored")

    retries = 4 if failing["maxRetries"] == 5 else 5
    deploy_again(stack, MaxRetriesDefault=str(retries))
    later = user.add(f"later {word}")
    model.released(f"streaming {word}")

    for prompt in (streaming, behind, failing, later):
        ended = user.ended(prompt["id"])
        assert ended["answer"] in user.answers(prompt["threadId"])
        assert len(model.calls(ended["prompt"]["prompt"])) == ended["prompt"]["runCount"]
    assert len(user.answers(streaming["threadId"])) == 2
    socket.until_status(behind["id"], "completed")
    assert later["maxRetries"] == retries
