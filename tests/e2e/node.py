"""Node, which `make` brings when there is none, and the npm project with the published client."""

import os
import shutil
import subprocess

from local.deployment import TOOLS
from tests.e2e.stack import ROOT

CLIENTS = ROOT / "tests" / "clients"
PATH = f"{TOOLS / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"
SECONDS = 180


def run_node(arguments: list[str], environment: dict[str, str], stdin: str = "") -> str:
    """What a program says on stdout; it has to succeed."""
    node = shutil.which("node", path=PATH)
    assert node, "There is no Node: `make test` brings it."
    ended = subprocess.run(
        [node, *arguments],
        cwd=CLIENTS,
        env=os.environ | {"PATH": PATH} | environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{arguments}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout
