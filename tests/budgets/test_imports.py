"""What each function loads when it starts: counted, because seconds are another machine's.

A cold start is nearly all imports, so a package that slips in is seen here. The functions are
imported with the packages of their layers and no others: those that only development has are
hidden, for some packages load what they happen to find.
"""

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.functions.stage import ENVIRONMENT

ROOT = Path(__file__).parents[2]
TOLERANCE = 0.03

# Modules that a function's import adds, its own and the standard library's not counted: of the
# latter every version of Python has others.
FIGURES = {"api": 475, "runner": 919, "socket": 352, "sweeper": 344}

# What only a provider's call needs.
PROVIDER = {"openai", "httpx2", "httpcore2", "anyio", "h11", "jiter", "sniffio", "truststore"}

PROBE = """
import importlib, json, sys
hidden = set({hidden!r})
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hide())
before = set(sys.modules)
for name in {modules!r}:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@cache
def in_layer(name: str) -> frozenset[str]:
    """The distributions that a layer's requirements pin."""
    text = (ROOT / "layers" / name / "requirements.txt").read_text()
    return frozenset(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE | re.IGNORECASE))


def hidden_from(layers: frozenset[str]) -> list[str]:
    """Top-level names of what is installed here and is in none of the layers."""
    allowed = {name.lower().replace("_", "-") for name in layers} | {"parley"}
    return sorted(
        name
        for name, distributions in packages_distributions().items()
        if not allowed & {d.lower().replace("_", "-") for d in distributions}
        and name not in sys.stdlib_module_names
    )


@cache
def imported(*modules: str, layers: frozenset[str]) -> list[str]:
    """What importing these modules adds to a fresh interpreter, the library's left out."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(hidden=hidden_from(layers), modules=modules)],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    skipped = {*sys.stdlib_module_names, "functions"}
    known = (name for name in names if name.partition(".")[0] not in skipped)
    return [name for name in known if not name.startswith("_sysconfigdata")]


def of_function(name: str) -> list[str]:
    layers = in_layer("base") | (in_layer("provider") if name == "runner" else frozenset())
    return imported(f"functions.{name}.app", layers=layers)


def packages(names: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("name", FIGURES)
def test_a_function_needs_only_its_layers_and_loads_what_is_stated(name: str) -> None:
    assert len(of_function(name)) == pytest.approx(FIGURES[name], rel=TOLERANCE)


@pytest.mark.parametrize("name", ["api", "socket", "sweeper"])
def test_only_the_runner_loads_the_provider_s_package(name: str) -> None:
    assert not packages(of_function(name)) & PROVIDER
    assert "parley.adapters.openai_provider" not in of_function(name)


def test_the_runner_loads_the_provider_s_package() -> None:
    assert {"openai", "httpx2", "anyio"} <= packages(of_function("runner"))


@pytest.mark.parametrize("name", ["runner", "socket", "sweeper"])
def test_only_the_api_loads_a_router(name: str) -> None:
    assert "aws_lambda_powertools.event_handler" in of_function("api")
    assert "aws_lambda_powertools.event_handler" not in of_function(name)


def test_an_engine_is_not_loaded_with_another_s_use_cases() -> None:
    assert not {name for name in of_function("sweeper") if name.startswith("parley.wire")}
    for name in ("runner", "socket", "sweeper"):
        assert not {"parley.core.manifest", "parley.wire.http_calls"} & set(of_function(name))
    for name in ("api", "socket", "sweeper"):
        assert "parley.usecases.attempt" not in of_function(name)


def test_the_domain_loads_nothing_third_party() -> None:
    source = ROOT / "layers/parley/parley"
    modules = [
        f"parley.{d}.{p.stem}" for d in ("core", "usecases") for p in (source / d).glob("[a-z]*.py")
    ]

    assert len(modules) > 20
    assert packages(imported("parley.ports", *modules, layers=frozenset())) == {"parley"}
