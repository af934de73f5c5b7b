"""Building Parley for this machine and deploying it into the emulator, with the real SAM."""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from local.emulator import REGION, Aws
from local.processes import StackError, run

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
TOOLS = ROOT / ".tools"
BUILD = LOCAL / "build"
STAMP = BUILD / ".fingerprint"
SAM = str(TOOLS / "sam" / "bin" / "sam")
STACK_NAME = "parley"
BUCKET = "parley-artifacts"

# The build is for the interpreter and the processor at hand: the emulator runs functions on them.
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
SOURCES = ("template.yaml", "functions", "layers")


@contextlib.asynccontextmanager
async def locked(path: Path, otherwise: str | None = None) -> AsyncIterator[None]:
    """Hold a lock file; when another process holds it, wait, or raise StackError(otherwise)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if otherwise is not None:
                    raise StackError(otherwise) from error
                # A blocking flock would keep Ctrl-C out.
                await asyncio.sleep(0.1)
            else:
                break
        yield


def fingerprint() -> str:
    """A digest of everything that the build is made from."""
    digest = hashlib.sha256(f"{RUNTIME} {ARCHITECTURE}".encode())
    for source in SOURCES:
        top = ROOT / source
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in files:
            if "__pycache__" in path.parts:
                continue
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


async def build() -> None:
    """`sam build`."""
    sources = fingerprint()
    STAMP.unlink(missing_ok=True)
    env = os.environ | {
        "AWS_DEFAULT_REGION": REGION,
        "PARLEY_RUNTIME": RUNTIME,
        "PARLEY_ARCHITECTURE": ARCHITECTURE,
        "PARLEY_BYTECODE_ONLY": "1",
        # For make in the layers: uv, and the interpreter to compile with.
        "PATH": f"{TOOLS}/uv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
    }
    command = [SAM, "build", "--template", str(ROOT / "template.yaml"), "--build-dir", str(BUILD)]
    command += ["--cached", "--cache-dir", str(LOCAL / "build-cache")]
    command += ["--parameter-overrides", f"Runtime={RUNTIME} Architecture={ARCHITECTURE}"]
    await run("sam build", command, LOCAL / "build.log", env)
    STAMP.write_text(sources)


def built() -> bool:
    """Whether the last build was made from the sources as they are."""
    return STAMP.exists() and STAMP.read_text() == fingerprint()


def template_parameters(aws: Aws, overrides: Mapping[str, str]) -> dict[str, str]:
    """The template's parameters for this machine, the user's own last."""
    values = {
        "Runtime": RUNTIME,
        "Architecture": ARCHITECTURE,
        "SnapStart": "PublishedVersions" if sys.version_info >= (3, 12) else "None",
        "DeletionProtection": "false",
        "LocalProviders": "true",
        # The emulator cannot read this bound from a parameter; its own is 5 batches per queue.
        "RunnerMaximumConcurrency": "0",
        "SocketEndpointBase": f"{aws.endpoint}/_aws/execute-api",
        **overrides,
    }
    release = hashlib.sha256(f"{STAMP.read_text()} {values}".encode()).hexdigest()
    return {**values, "Release": release[:10]}


def deployable(release: str) -> Path:
    """The built template with the release as the default of its parameter.

    The emulator expands SAM's part of a template with the parameters' defaults instead of their
    values, so it would not see that the aliased functions are to be published anew.
    """
    template = (BUILD / "template.yaml").read_text()
    changed, count = re.subn(
        r"(\n  Release:\n(?:    .*\n)*?    Default: )''", rf"\g<1>'{release}'", template
    )
    if count != 1:
        raise StackError("The built template has no parameter Release with an empty default.")
    path = BUILD / "deployable.yaml"
    path.write_text(changed)
    return path


async def deploy(aws: Aws, overrides: Mapping[str, str], log: Path) -> dict[str, str]:
    """`sam deploy` of what is built into the emulator; the outputs of the stack."""

    def prepare_bucket() -> None:
        aws.session().client("s3", endpoint_url=aws.endpoint).create_bucket(Bucket=BUCKET)

    def outputs() -> dict[str, str]:
        formation = aws.session().client("cloudformation", endpoint_url=aws.endpoint)
        stack = formation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    await asyncio.to_thread(prepare_bucket)
    values = template_parameters(aws, overrides)
    command = [SAM, "deploy", "--template-file", str(deployable(values["Release"]))]
    command += ["--stack-name", STACK_NAME, "--s3-bucket", BUCKET, "--region", REGION]
    command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
    command += ["--parameter-overrides"]
    command += [f"{k}={v}" for k, v in values.items()]
    await run("sam deploy", command, log, aws.environment())
    found = await asyncio.to_thread(outputs)
    await asyncio.to_thread(unalias_socket, aws, found)
    return found


def unalias_socket(aws: Aws, outputs: Mapping[str, str]) -> None:
    """Let the WebSocket API call the function itself instead of its alias.

    For sockets the emulator keeps the process it first started for an alias, even when the alias
    moves on, so that they would stay with the sources of the first deployment.
    """
    apis = aws.session().client("apigatewayv2", endpoint_url=aws.endpoint)
    functions = aws.session().client("lambda", endpoint_url=aws.endpoint)
    found = functions.get_function(FunctionName=outputs["SocketFunctionName"])
    arn = found["Configuration"]["FunctionArn"]
    prefix = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions"
    api_id = outputs["SocketApiId"]
    for integration in apis.get_integrations(ApiId=api_id)["Items"]:
        apis.update_integration(
            ApiId=api_id,
            IntegrationId=integration["IntegrationId"],
            IntegrationUri=f"{prefix}/{arn}/invocations",
        )


def invoker(aws: Aws, function_name: str) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """A call of a function of the stack; it raises StackError when the function fails."""
    client = aws.session().client("lambda", endpoint_url=aws.endpoint)

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        answer = client.invoke(FunctionName=function_name, Payload=json.dumps(event).encode())
        result: dict[str, Any] = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise StackError(f"The function {function_name} fails: {json.dumps(result)}")
        return result

    return lambda event: asyncio.to_thread(invoke, event)
