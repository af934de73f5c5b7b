"""The README's commands, taken out of it and run as they stand there, but for the port."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.node import run_node
from tests.e2e.stack import ROOT, Stack

README = (ROOT / "README.md").read_text()
PORT = "http://localhost:9357"
ANSWER = "I am Parley's development model"


def blocks(language: str, holding: str) -> list[str]:
    """The README's code blocks in a language that hold a text."""
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return [block for block in found if holding in block]


def commands(block: str) -> str:
    """What somebody types: the lines with a prompt, and the lines that continue them."""
    return re.sub(r"^\$ ", "", block, flags=re.MULTILINE)


@pytest.fixture
def checkout(stack: Stack, tmp_path: Path) -> Path:
    """A directory that looks like the checkout in which `make run` is running."""
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").symlink_to(stack.file)
    return tmp_path


def typed(script: str, checkout: Path, stack: Stack) -> str:
    """What bash says to it."""
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(PORT, stack.api)],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_curl_gets_an_answer_as_the_readme_says(checkout: Path, stack: Stack) -> None:
    (block,) = blocks("console", "curl -s")

    answer = json.loads(typed(commands(block), checkout, stack))

    assert answer["prompt"]["status"] == "completed"
    assert answer["prompt"]["prompt"] == "What's a banana?"
    assert answer["answer"].startswith(ANSWER)


def test_the_command_line_finds_the_local_stack_as_the_readme_says(
    checkout: Path, stack: Stack
) -> None:
    (block,) = blocks("console", "parley prompts list")

    said = typed(commands(block), checkout, stack)

    assert ANSWER in said
    assert "What's a banana?" in said.partition("TITLE")[2]


def test_the_published_client_gets_an_answer_as_the_readme_says(stack: Stack) -> None:
    (block,) = blocks("js", "@openorch/client")
    program = f"{block}\nconsole.log(answer, prompt.status);".replace(PORT, stack.api)

    said = run_node(["--input-type=module", "-"], {"KEY": stack.user_key}, program)

    assert said.startswith(ANSWER)
    assert said.endswith("completed\n")


def test_a_manifest_becomes_a_chat_in_the_three_steps_of_the_readme(
    checkout: Path, stack: Stack
) -> None:
    (manifest,) = blocks("yaml", "kind: LLMClient")
    (checkout / "adviser.yaml").write_text(manifest)
    (block,) = blocks("console", "parley apply -f adviser.yaml")
    steps = [line for line in commands(block).splitlines() if ".venv/bin/parley" in line]

    typed(steps[0], checkout, stack)
    # What somebody types into the chat comes through a pipe here.
    said = typed(f"echo Hello | {steps[1]}", checkout, stack)

    assert ANSWER in said
