"""Who speaks with whom on this machine, as the tests of killed runners ask it."""

import os
import socket
import subprocess
import sys

import pytest

from tests.e2e.connections import PROC, connected_to

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(not (PROC / "net" / "tcp").exists(), reason="the kernel lists none"),
]


def test_only_a_process_with_a_connection_to_the_port_is_found() -> None:
    here = os.getpid()
    waiting = [sys.executable, "-c", "input()"]
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(waiting, stdin=subprocess.PIPE) as other,
    ):
        port = server.getsockname()[1]
        assert connected_to(port, [here, other.pid]) == []
        with socket.create_connection(("127.0.0.1", port)):
            assert connected_to(port, [here, other.pid]) == [here]
        assert other.stdin
        other.stdin.write(b"\n")
        other.stdin.close()
    assert connected_to(port, [here, other.pid]) == []
