"""The browser of the tests: which one, and how it is brought (`python -m tests.browser.chromium`).

What the machine has is used: playwright can drive any Chromium. When there is none and this is
root on Debian, the distribution's is installed. Ubuntu's is a snap, whose confinement hides the
profile directory from it, so there (and elsewhere) it is playwright's own download.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
ON_A_MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
# Without any font of its kind, text is drawn as boxes.
PACKAGES = ("chromium", "fonts-liberation")
UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive"}
ANSWER_SECONDS = 60
# Names that only the browser resolves, to be other sites than localhost.
OTHER_SITES = ("shop.test", "elsewhere.test")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--host-resolver-rules=" + ", ".join(f"MAP {name} 127.0.0.1" for name in OTHER_SITES),
]


class NoBrowserError(Exception):
    """Nothing to test with; its text says what to do."""


def find(environment: Mapping[str, str]) -> str | None:
    """The path of a Chromium that starts: CHROMIUM, else what is installed, else playwright's."""
    if given := environment.get("CHROMIUM"):
        if not works(given):
            raise NoBrowserError(f"CHROMIUM is {given}, which does not start.")
        return given
    on_path = (shutil.which(name, path=environment.get("PATH")) for name in NAMES)
    candidates = [path for path in on_path if path] + [ON_A_MAC]
    if path := next((path for path in candidates if works(path)), None):
        return path
    own = playwrights_own()
    return own if works(own) else None


def works(path: str) -> bool:
    """Whether this is a browser that says its version, and no snap (or a hint to install one)."""
    if not Path(path).exists() or "snap" in Path(path).resolve().parts:
        return False
    try:
        asked = subprocess.run(
            [path, "--version"], capture_output=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def playwrights_own() -> str:
    """Where playwright puts the browser that it downloads, which need not be there."""
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def bring(environment: Mapping[str, str]) -> str:
    """The path of a Chromium, installed if there is none; NoBrowserError when that fails."""
    if found := find(environment):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stderr.write("Bringing Chromium ...\n")
        for command in installing(distribution()):
            # Quiet, unless it fails: the message below says less than apt's own.
            done = subprocess.run(
                command, env={**os.environ, **UNATTENDED}, capture_output=True, check=False
            )
            if done.returncode != 0:
                sys.stderr.write(f"{done.stdout.decode()}{done.stderr.decode()}")
                break
    if found := find(environment):
        return found
    raise NoBrowserError(
        "The tests need Chromium, and there is none. Debian: apt install chromium. Elsewhere: "
        "install Google Chrome, or run .venv/bin/playwright install --with-deps chromium, or "
        "name one: CHROMIUM=/path/to/chromium make test"
    )


def distribution() -> str:
    """The `ID` of this Linux, e.g. debian."""
    return platform.freedesktop_os_release().get("ID", "")


def installing(of: str) -> list[list[str]]:
    """The commands that install a Chromium on a distribution with apt, as root."""
    if of == "debian":
        return [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
        ]
    return [[sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]]


def main() -> int:
    """Say where the browser is; bring it first if need be."""
    try:
        sys.stdout.write(bring(os.environ) + "\n")
    except NoBrowserError as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
