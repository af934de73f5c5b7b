"""Which browser the tests use, on machines that have one, a hint to install one, or none."""

from pathlib import Path

import pytest

from tests.browser import chromium


@pytest.fixture(autouse=True)
def _nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's applications nor playwright's download count."""
    monkeypatch.setattr(chromium, "ON_A_MAC", "/nowhere")
    monkeypatch.setattr(chromium, "playwrights_own", lambda: "")


def program(directory: Path, name: str, status: int) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_one_that_only_says_how_to_install_it_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path, "chromium", 1)
    chrome = program(tmp_path, "google-chrome", 0)

    assert chromium.find({"PATH": str(tmp_path)}) == chrome


def test_a_snap_is_passed_over(tmp_path: Path) -> None:
    snap = program(tmp_path / "snap", "chromium", 0)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "chromium").symlink_to(snap)

    assert chromium.find({"PATH": str(tmp_path / "bin")}) is None


def test_the_one_that_is_named_goes_first_and_has_to_start(tmp_path: Path) -> None:
    program(tmp_path, "chromium", 0)
    named = program(tmp_path / "named", "mine", 0)
    broken = program(tmp_path / "named", "broken", 1)

    assert chromium.find({"PATH": str(tmp_path), "CHROMIUM": named}) == named
    with pytest.raises(chromium.NoBrowserError, match="does not start"):
        chromium.find({"PATH": str(tmp_path), "CHROMIUM": broken})


def test_who_cannot_install_one_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(chromium.NoBrowserError, match="apt install chromium"):
        chromium.bring({"PATH": str(tmp_path)})


def test_debian_has_a_package_and_ubuntu_has_playwrights_own() -> None:
    assert "chromium" in chromium.installing("debian")[-1]
    assert "playwright" in chromium.installing("ubuntu")[0]
