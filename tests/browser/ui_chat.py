"""The published React component, unchanged, on a page around it (`tests/clients/ui-chat`)."""

import hashlib
import shutil
from pathlib import Path
from urllib.parse import urlencode

from local.deployment import LOCAL
from tests.e2e.node import CLIENTS, PATH, install, run

PROJECT = CLIENTS / "ui-chat"
BUILT = LOCAL / "ui-chat"
INPUTS = ("package-lock.json", "vite.config.js", "index.html", "src/main.jsx")


def build() -> Path:
    """The directory with both builds, made anew when their inputs have changed."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((PROJECT / name).read_bytes())
    done = BUILT / digest.hexdigest()[:16]
    if not done.exists():
        install(PROJECT)
        shutil.rmtree(BUILT, ignore_errors=True)
        for mode in ("production", "development"):
            _build(mode, done.with_suffix(".new") / mode)
        done.with_suffix(".new").rename(done)
    return done


def _build(mode: str, directory: Path) -> None:
    vite = PROJECT / "node_modules" / "vite" / "bin" / "vite.js"
    node = shutil.which("node", path=PATH)
    assert node
    # React calls things twice under StrictMode in its development build only.
    command: list[str | Path] = [node, vite, "build", "--mode", mode, "--base", f"/{mode}/"]
    run(
        [*command, "--outDir", directory, "--emptyOutDir"],
        {"NODE_ENV": mode},
        cwd=PROJECT,
    )


def address(origin: str, api: str, *, strict: bool = False) -> str:
    """The page with the component on it, pointed at an llm_client; `strict`: React's StrictMode."""
    query = {"api": api} | ({"strict": "1"} if strict else {})
    return f"{origin}/{'development' if strict else 'production'}/?{urlencode(query)}"
