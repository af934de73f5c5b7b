"""Other people's pages: static files on a loopback port, so an origin of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class Handler(SimpleHTTPRequestHandler):
    """Serves the files of a directory, and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Does not wait, at its end, for connections that a browser keeps open."""

    daemon_threads = True


@contextmanager
def serving(directory: Path) -> Iterator[int]:
    """Serve a directory while the context is open; the port, on 127.0.0.1."""
    with Server(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
