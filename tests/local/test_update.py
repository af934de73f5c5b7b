"""`make update` means the same stack as `make run` with the same environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.deployment import LOCAL


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({"PORT": "1"}, LOCAL / "stack-1.json"),
        ({"PORT": "1", "STACK_FILE": "/none/stack.json"}, Path("/none/stack.json")),
    ],
)
def test_it_looks_for_the_stack_that_the_environment_names(
    variables: dict[str, str], file: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local.update"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"make update: no {file}: " in done.stderr
