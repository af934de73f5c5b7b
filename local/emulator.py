"""The emulator of AWS: starting it, and an environment in which tools talk to it only."""

import asyncio
import os
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3

from local.processes import Child, StackError, start

REGION = "us-east-1"
READY_SECONDS = 30.0
POLL_SECONDS = 0.05
# Both halves of the emulator's root key.
ROOT_KEY = "test"


@dataclass(frozen=True)
class Aws:
    """AWS as the emulator at an address stands for it."""

    endpoint: str

    def environment(self) -> dict[str, str]:
        """The environment for AWS tools: nothing in it can reach a real account.

        The user's own profiles and credentials are out of
        reach, so a slip of ours can never deploy to them.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
        }

    def session(self) -> boto3.Session:
        """A session for it; its clients need `endpoint_url=aws.endpoint` as well."""
        return boto3.Session(
            aws_access_key_id=ROOT_KEY, aws_secret_access_key=ROOT_KEY, region_name=REGION
        )


def forget_aws_settings() -> None:
    """Take the user's AWS settings out of this process.

    A profile of theirs must neither be used nor be complained about.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


def free_port(preferred: int | None = None) -> int:
    """A free port of the loopback address: the preferred one if it is free."""
    for candidate in (preferred, 0) if preferred else (0,):
        with socket.socket() as probe:
            # The emulator binds so as well: a port whose last connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("No port is free on 127.0.0.1.")


def answers(url: str) -> bool:
    """Whether an HTTP server answers at this address, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 (loopback only)
            return bool(response.status)
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


async def until_answers(child: Child, url: str) -> None:
    """Wait until a server that we started answers; StackError when it ends or takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_SECONDS
    while not await asyncio.to_thread(answers, url):
        if child.process.returncode is not None:
            raise StackError(f"The {child.name} ended at its start:\n{child.last_words()}")
        if loop.time() > deadline:
            raise StackError(f"The {child.name} does not answer at {url}:\n{child.last_words()}")
        await asyncio.sleep(POLL_SECONDS)


async def start_emulator(python: Path, home: Path, port: int, *, keep: bool) -> Child:
    """Start the emulator on loopback with its data under `home` and IAM enforced.

    `MINISTACK_HOST` and the rest of its settings stay at their defaults. Functions are child
    processes of it and get `AWS_ENDPOINT_URL=http://127.0.0.1:{port}` from it, temporary
    credentials of their role, and everything else of its own environment: so that environment
    is made small.
    """
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    env = {
        k: v
        for k, v in os.environ.items()
        if k in {"PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE"}
    }
    env |= {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        # Keep every process of a function: starting another costs more than keeping it.
        "LAMBDA_WARM_TTL_SECONDS": "86400",
        "LOG_LEVEL": os.environ.get("EMULATOR_LOG_LEVEL", "INFO"),
        "MINISTACK_REGION": REGION,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(home / "tmp"),
        "STATE_DIR": str(home / "state"),
        "S3_DATA_DIR": str(home / "s3"),
        "PERSIST_STATE": "1" if keep else "0",
        "S3_PERSIST": "1" if keep else "0",
    }
    return await start("emulator", [str(python), "-m", "ministack"], home / "emulator.log", env)
