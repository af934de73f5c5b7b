"""What a local stack prints: each step with the time it took, then what to do with it."""

import contextlib
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from local.deployment import LOCAL
from local.options import Options


@dataclass
class Progress:
    """Tells what is being done and how long it took."""

    began: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what begins, and when it is done."""
        since = time.monotonic()
        print(f"  {what} ...", end="", flush=True)
        try:
            yield
        except BaseException:
            print(flush=True)
            raise
        print(f" {time.monotonic() - since:.1f} s", flush=True)

    def ready(self) -> None:
        """Say how long everything took."""
        print(f"  Ready after {time.monotonic() - self.began:.1f} s.", flush=True)


def summary(stack: Mapping[str, object], options: Options) -> str:
    """What to open, what to read, and three commands to copy."""
    api, key = stack["api"], stack["user_key"]
    page = f"http://stackademy.{stack['account']}.api.localhost:{options.port}/"
    chosen = ""
    if options.stack_file != LOCAL / "stack.json":
        # Without it the command would talk to the stack on the usual port, if that runs as well.
        chosen = f"\n    export PARLEY_STACK={shlex.quote(str(options.stack_file))}"
    return f"""
  Parley is ready.

    chat page    {page}
    workbench    {api}/workbench/#key={stack["admin_key"]}
    HTTP API     {api}
    WebSocket    {stack["websocket"]}
    account      {stack["account"]}
    admin key    {stack["admin_key"]}
    user key     {key}
    logs         {options.home}/*.log

  Try:
{chosen}
    .venv/bin/parley chat stackademy
    .venv/bin/parley prompt "What's a banana?"
    curl -s {api}/prompt-svc/prompt -H 'Authorization: Bearer {key}' \\
         -d '{{"prompt": "What is a banana?", "sync": true}}'

  Ctrl-C ends it.{"" if options.keep else " Its data goes with it (KEEP=1 keeps them)."}
"""
