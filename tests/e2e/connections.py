"""Which processes are connected to a port of this machine, as the kernel lists them."""

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
ESTABLISHED = "01"


def connected_to(port: int, pids: list[int]) -> list[int]:
    """Those of the processes that have a connection to 127.0.0.1:port.

    All of them where there is no list, as on a Mac.
    """
    if not (PROC / "net" / "tcp").exists():
        return pids
    return [pid for pid in pids if inodes_of(pid) & inodes_to(port)]


def inodes_to(port: int) -> set[str]:
    """The near ends of the connections to 127.0.0.1:port."""
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    there = f"0100007F:{port:04X}"
    return {row[9] for row in rows if (row[2], row[3]) == (there, ESTABLISHED)}


def inodes_of(pid: int) -> set[str]:
    """The sockets that a process has open; none once it has ended."""
    found: set[str] = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(FileNotFoundError):
                kind, _, inode = str(entry.readlink()).partition(":")
                if kind == "socket":
                    found.add(inode.strip("[]"))
    return found
