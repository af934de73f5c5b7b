"""`make deploy`: asks the first time, and keeps what it was told afterwards."""

import os
import subprocess
from pathlib import Path

import pytest

from local.deployment import ROOT

# Stands in for SAM: writes down how it was called; the outputs are those of a stack that is there.
SAM = """\
#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *stack-outputs*) echo "$OUTPUTS"; test -n "$OUTPUTS";; esac
"""


def deployed(tmp_path: Path, outputs: str, *given: str) -> list[str]:
    """SAM's calls to deploy, when the stack has these outputs."""
    sam, calls = tmp_path / "sam", tmp_path / "calls"
    sam.write_text(SAM)
    sam.chmod(0o700)
    subprocess.run(
        ["make", "--silent", "--old-file=.tools/.sam", "deploy", f"SAM={sam}", *given],
        cwd=ROOT,
        env={**os.environ, "CALLS": str(calls), "OUTPUTS": outputs},
        check=True,
        capture_output=True,
    )
    return [call for call in calls.read_text().splitlines() if call.startswith("deploy ")]


@pytest.mark.parametrize("outputs", ["", "Stack Outputs"], ids=["no stack", "a half one"])
def test_the_first_time_it_is_guided(tmp_path: Path, outputs: str) -> None:
    [call] = deployed(tmp_path, outputs)

    assert call.startswith("deploy --guided --stack-name parley --parameter-overrides Runtime=")


def test_an_update_asks_nothing_and_changes_what_is_named(tmp_path: Path) -> None:
    given = ("STACK=mine", "PARAMETERS=ApiDomain=api.example.com")
    [call] = deployed(tmp_path, "ApiUrl https://x.example.com", *given)

    command, _, parameters = call.partition(" --parameter-overrides ")
    assert command == "deploy --stack-name mine"
    named = dict(one.split("=", 1) for one in parameters.split())
    # SAM keeps the others, and moves the alias for another Release only.
    assert named.keys() == {"Runtime", "Architecture", "Release", "ApiDomain"}
    assert named["ApiDomain"] == "api.example.com"
    assert named["Release"].isdecimal()
