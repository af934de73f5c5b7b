"""The npm project of the client tests: exactly the published client, from the public registry."""

import json
from pathlib import Path

HERE = Path(__file__).parent
CLIENT = "@openorch/client"
VERSION = "0.3.0-rc.7"
REGISTRY = "https://registry.npmjs.org/"


def test_the_client_is_pinned_exactly() -> None:
    package = json.loads((HERE / "package.json").read_text())
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]

    assert package["dependencies"] == {CLIENT: VERSION}
    assert locked[f"node_modules/{CLIENT}"]["version"] == VERSION


def test_the_lock_file_names_only_the_public_registry() -> None:
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    packages = {name: package for name, package in locked.items() if name}

    assert all(package["resolved"].startswith(REGISTRY) for package in packages.values())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
