"""The npm project around the chat component: just the published one, from the public registry."""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent / "ui-chat"
COMPONENT = "@smarter.sh/ui-chat"
VERSION = "0.3.0"
REGISTRY = "https://registry.npmjs.org/"
EXACT = re.compile(r"\d+\.\d+\.\d+")


def test_the_component_and_what_it_is_built_with_are_pinned_exactly() -> None:
    package = json.loads((HERE / "package.json").read_text())
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    wanted = package["dependencies"] | package["devDependencies"]

    assert wanted[COMPONENT] == VERSION
    assert all(EXACT.fullmatch(version) for version in wanted.values())
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_the_lock_file_names_only_the_public_registry() -> None:
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    packages = {name: package for name, package in locked.items() if name}

    assert all(package["resolved"].startswith(REGISTRY) for package in packages.values())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
