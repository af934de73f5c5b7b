"""What the layers hold: what the functions use, as uv.lock pins it, and nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import lock
from tests.budgets.test_imports import PROVIDER, in_layer, of_function

ROOT = Path(__file__).parents[2]
LAYERS = ("base", "provider")
# boto3 asks for them, and our calls to AWS never load them.
ONLY_REQUIRED = {"six", "s3transfer"}
# Loaded by the first call that needs it, and not before: a manifest in YAML.
LOADED_WHEN_ASKED = {"pyyaml"}
# Import names that are not the distributions'.
NAMES = {"dateutil": "python-dateutil", "dotenv": "python-dotenv"}
MAKE = shutil.which("make")
UV = ROOT / ".tools/uv/bin/uv"


def entries(layer: str) -> list[str]:
    """The requirements of a layer, each with its hashes."""
    text = (ROOT / "layers" / layer / "requirements.txt").read_text()
    body = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    return re.split(r"(?m)^(?=\S)", "".join(body))[1:]


def loaded_by_functions() -> set[str]:
    """Distributions of what the functions' imports load."""
    names: set[str] = set()
    for function in ("api", "runner", "socket", "sweeper"):
        names |= {module.partition(".")[0] for module in of_function(function)}
    return {NAMES.get(name, name).replace("_", "-") for name in names}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_requirement_is_pinned_with_hashes(layer: str) -> None:
    assert entries(layer)
    for entry in entries(layer):
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_base_layer_holds_nothing_of_the_provider_s() -> None:
    assert not {name.lower() for name in in_layer("base")} & PROVIDER


def test_no_package_is_in_two_layers() -> None:
    assert not in_layer("base") & in_layer("provider")


def test_the_base_layer_holds_nothing_that_no_function_loads() -> None:
    assert in_layer("base") - ONLY_REQUIRED - LOADED_WHEN_ASKED <= loaded_by_functions()


def test_our_layer_holds_the_package_without_the_stores_in_memory(tmp_path: Path) -> None:
    """As `sam build` makes it; without the interpreter of a function nothing is compiled."""
    assert MAKE is not None
    source = ROOT / "layers/parley"
    arguments = ["build-ParleyLayer", f"ARTIFACTS_DIR={tmp_path}", "PARLEY_RUNTIME=no-python"]
    subprocess.run([MAKE, "-C", source, *arguments], check=True, capture_output=True)

    packed = {str(path.relative_to(tmp_path / "python")) for path in tmp_path.rglob("*.py")}
    ours = {str(path.relative_to(source)) for path in (source / "parley").rglob("*.py")}
    left_out = ours - packed
    assert packed <= ours
    assert left_out
    assert all(name.startswith("parley/adapters/memory") for name in left_out), left_out


def test_no_start_waits_for_what_only_some_calls_need() -> None:
    assert not {"pyyaml", "yaml"} & loaded_by_functions()


@pytest.mark.skipif(not UV.exists(), reason="uv was not brought: `make test` brings it")
def test_the_requirements_are_those_of_uv_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("pyproject.toml", "uv.lock", "layers/parley/pyproject.toml", "cli/pyproject.toml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for layer in LAYERS:
        (tmp_path / "layers" / layer).mkdir()
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["lock.py", str(UV)])

    lock.main()

    for layer in LAYERS:
        path = Path("layers") / layer / "requirements.txt"
        assert (tmp_path / path).read_text() == (ROOT / path).read_text(), (
            f"run `make lock`: {path}"
        )
