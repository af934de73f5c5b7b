"""Other people's pages: static files on a loopback port, so an origin of their own."""

import datetime as dt
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Handler(SimpleHTTPRequestHandler):
    """Serves the files of a directory, and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Does not wait, at its end, for connections that a browser keeps open."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: browsers drop connections, over a certificate that they then ignore."""


@contextmanager
def serving(directory: Path, certificate: Path | None = None) -> Iterator[int]:
    """Serve a directory while the context is open; the port, on 127.0.0.1.

    With a `certificate` (see `self_signed`) by HTTPS.
    """
    with Server(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is left to the connection's own thread: nobody waits for it.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def self_signed(directory: Path, host: str) -> Path:
    """A file with a key and a certificate that only who ignores its errors takes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    written = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = directory / f"{host}.pem"
    file.write_bytes(written + certificate.public_bytes(serialization.Encoding.PEM))
    return file
