"""A way from a container to what listens on this machine's loopback address."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on bytes until the source ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relaying(host: str, port: int) -> Iterator[str]:
    """Listen on an address of this machine for 127.0.0.1:port; host and port to connect to."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                back = threading.Thread(target=pump, args=(upstream, self.request))
                back.start()
                pump(self.request, upstream)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
