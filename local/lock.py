"""Write the locked requirement files that the layers are built from (`make lock`).

The layers are built by pip-style installs for another machine, so they need requirement files
with hashes rather than uv.lock itself. The provider layer holds only what the extra adds: a
package in two layers would be loaded from whichever comes first.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Written by `make lock` from uv.lock. Do not edit.\n"


def export(uv: str, *options: str) -> list[str]:
    """The requirements of the package `parley`, one entry (with its hashes) per package."""
    command = [uv, "export", "--frozen", "--quiet", "--package", "parley", "--no-emit-workspace"]
    command += [
        "--no-dev",
        "--no-header",
        "--no-annotate",
        "--format",
        "requirements-txt",
        *options,
    ]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    entries: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith((" ", "\t")):
            entries[-1] += line
        else:
            entries.append(line)
    return entries


def main() -> None:
    """Write layers/base/requirements.txt and layers/provider/requirements.txt."""
    uv = sys.argv[1]
    base = export(uv)
    in_base = {entry.split("==")[0] for entry in base}
    added = [e for e in export(uv, "--extra", "provider") if e.split("==")[0] not in in_base]
    for layer, entries in (("base", base), ("provider", added)):
        (ROOT / "layers" / layer / "requirements.txt").write_text(HEADER + "".join(entries))


if __name__ == "__main__":
    main()
