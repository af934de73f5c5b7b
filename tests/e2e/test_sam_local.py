"""The functions in an image of Lambda's, by `sam local invoke` with the files of events/.

Runs where Docker does and has an image public.ecr.aws/lambda/python:3.*; nothing is downloaded.
The functions get the settings of the running stack and reach its emulator.
"""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from local.deployment import SAM, TOOLS
from tests.e2e.relay import relaying
from tests.e2e.stack import BIN, ROOT, Stack

pytestmark = pytest.mark.docker

REPOSITORY = "public.ecr.aws/lambda/python"
SECONDS = 300
FUNCTIONS = ("Api", "Runner", "Sweeper", "Socket")
# Nothing of the events is in the stack: their key, prompt and connection are unknown there.
EVENTS = {
    "api": ("ApiFunction", {"statusCode": 401}),
    "runner": ("RunnerFunction", {"batchItemFailures": []}),
    "socket_connect": ("SocketFunction", {"statusCode": 401}),
    "socket_subscribe": ("SocketFunction", {"statusCode": 200}),
    "sweeper": ("SweeperFunction", {}),
}


@dataclass(frozen=True)
class Image:
    """A Lambda image that is here already."""

    runtime: str
    architecture: str

    @property
    def overrides(self) -> list[str]:
        values = {"Runtime": self.runtime, "Architecture": self.architecture, "SnapStart": "None"}
        return ["--parameter-overrides", *(f"{name}={value}" for name, value in values.items())]


def said(command: list[str], **environment: str) -> str:
    """What a command says on stdout; it has to succeed."""
    # For make in the layers: uv, and the interpreter to compile with.
    path = os.pathsep.join([str(TOOLS / "uv" / "bin"), str(BIN), os.environ["PATH"]])
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0"} | environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def image() -> Image:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command")
    info = subprocess.run(["docker", "info"], capture_output=True, check=False)
    if info.returncode != 0:
        pytest.skip("Docker is not running")
    tags = said(["docker", "images", "--format", "{{.Tag}}", REPOSITORY])
    found = re.search(r"^(3\.\d+)(?:-(x86_64|arm64))?$", tags, re.MULTILINE)
    if found is None:
        pytest.skip(f"there is no image {REPOSITORY}:3.*")
    here = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    return Image(f"python{found[1]}", found[2] or here)


@pytest.fixture(scope="module")
def address(stack: Stack) -> Iterator[str]:
    """Where a container reaches the emulator."""
    (network,) = json.loads(said(["docker", "network", "inspect", "bridge"]))
    config = network["IPAM"]["Config"][0]
    # Older versions do not tell the gateway, which is the first address then.
    host = config.get("Gateway") or str(next(ip_network(config["Subnet"]).hosts()))
    port = int(stack.aws_endpoint.rpartition(":")[2])
    try:
        with relaying(host, port) as relay:
            yield relay
    except OSError:
        pytest.skip("the containers' network is not this machine's")


@pytest.fixture(scope="module")
def template(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built template; the functions may also be told where AWS is."""
    directory = tmp_path_factory.mktemp("build")
    command = [SAM, "build", "--template", str(ROOT / "template.yaml"), *image.overrides]
    said(
        [*command, "--build-dir", str(directory)],
        PARLEY_RUNTIME=image.runtime,
        PARLEY_ARCHITECTURE=image.architecture,
        AWS_DEFAULT_REGION="us-east-1",
    )
    built = directory / "template.yaml"
    more = re.sub(r"(\n +)(TABLE_NAME:)", r"\1AWS_ENDPOINT_URL: ''\1\2", built.read_text(), count=1)
    built.write_text(more)
    return built


@pytest.fixture(scope="module")
def settings(stack: Stack, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the environment that the functions have on the stack."""
    functions: dict[str, dict[str, str]] = {}
    for name in FUNCTIONS:
        configuration = stack.client("lambda").get_function_configuration(
            FunctionName=stack.outputs[f"{name}FunctionName"]
        )
        port = stack.aws_endpoint.rpartition(":")[2]
        loopback = re.compile(rf"(127\.0\.0\.1|localhost):{port}")
        variables = configuration["Environment"]["Variables"]
        functions[f"{name}Function"] = {
            variable: loopback.sub(address, value) for variable, value in variables.items()
        } | {"AWS_ENDPOINT_URL": f"http://{address}"}
    file = tmp_path_factory.mktemp("settings") / "env.json"
    file.write_text(json.dumps(functions))
    return file


@pytest.mark.parametrize("name", EVENTS)
def test_sam_local_invoke_runs_a_function_with_its_event(
    stack: Stack, image: Image, template: Path, settings: Path, name: str
) -> None:
    function, expected = EVENTS[name]
    command = [SAM, "local", "invoke", function, "--template", str(template), *image.overrides]
    command += ["--event", str(ROOT / "events" / f"{name}.json"), "--env-vars", str(settings)]

    output = said([*command, "--skip-pull-image"], **stack.environment)

    answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    assert answer | expected == answer
    assert "errorType" not in answer
