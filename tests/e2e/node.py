"""Node, and the npm project with the published client."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.deployment import TOOLS
from tests.e2e.stack import ROOT

CLIENTS = ROOT / "tests" / "clients"
# Where `make` puts the Node that it brings when there is none.
PATH = f"{TOOLS / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"
SECONDS = 180


def install(project: Path = CLIENTS) -> None:
    """`npm ci`, unless what is installed is what the lock file says."""
    npm = shutil.which("npm", path=PATH)
    if npm is None:
        pytest.skip("there is no npm; `make test` brings Node")
    lock, installed = project / "package-lock.json", project / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], {}, cwd=project)


def run_node(arguments: list[str], environment: dict[str, str], stdin: str = "") -> str:
    """What a program says on stdout; it has to succeed."""
    node = shutil.which("node", path=PATH)
    assert node
    return run([node, *arguments], environment, stdin)


def run(
    command: list[str | Path], environment: dict[str, str], stdin: str = "", cwd: Path = CLIENTS
) -> str:
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PATH": PATH} | environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout
