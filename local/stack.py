"""`python -m local.stack`: the whole of Parley on the loopback address.

Emulator, `sam build`, `sam deploy` into it, development model, seeding, edge. It runs until it
is interrupted or one of its processes ends. Options are environment variables, which pass
through make:

PORT               where the edge listens (9357)
KEEP=1             keep the data for the next run
LLM_BASE_URL       a provider to use instead of the development model
STACK_FILE         where to write what a client needs to know (.local/stack.json; for another
                   port .local/stack-PORT.json)
STACK_PARAMETERS   template parameters, e.g. "LeaseSeconds=4 BackoffBaseSeconds=0.2"
SWEEP_EVERY        seconds between sweeps, shorter than EventBridge Scheduler's minute: the
                   sweeper is then invoked from here, with the same event
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local import edge
from local.emulator import REGION, Emulator, free_port, start_emulator, until_answers
from local.processes import Child, StackError, run, start
from local.seed import Seeded, seed

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
BUILD = LOCAL / "build"
SAM = ROOT / ".tools" / "sam" / "bin" / "sam"
EMULATOR_PYTHON = ROOT / ".tools" / "emulator" / "bin" / "python"
UV_BIN = ROOT / ".tools" / "uv" / "bin"
PYTHON_BIN = Path(sys.executable).parent
STAMP = ".fingerprint"
DEFAULT_PORT = 9357
STACK_NAME = "parley"
BUCKET = "parley-artifacts"

# The build is for the interpreter and the processor at hand: the emulator runs functions on them.
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
SOURCES = ("template.yaml", "functions", "layers")


@dataclass(frozen=True)
class Options:
    """What the environment asks for."""

    port: int
    keep: bool
    llm_base_url: str | None
    stack_file: Path
    parameters: dict[str, str]
    sweep_every: float | None

    @property
    def home(self) -> Path:
        """Where this stack keeps its logs and its data."""
        return LOCAL / str(self.port)


@dataclass
class Ports:
    """Ports behind the edge. Kept with the data, which has addresses in it."""

    emulator: int
    devmodel: int


@dataclass
class Progress:
    """Tells what is being done and how long it took."""

    began: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what begins, and when it is done."""
        since = time.monotonic()
        print(f"  {what} ...", end="", flush=True)
        try:
            yield
        except BaseException:
            print(flush=True)
            raise
        print(f" {time.monotonic() - since:.1f} s", flush=True)


def read_options(env: Mapping[str, str]) -> Options:
    """The options from the environment; StackError when one makes no sense."""
    try:
        port = int(env.get("PORT") or DEFAULT_PORT)
        sweep_every = float(env["SWEEP_EVERY"]) if env.get("SWEEP_EVERY") else None
        parameters = dict(p.split("=", 1) for p in shlex.split(env.get("STACK_PARAMETERS", "")))
    except ValueError as error:
        raise StackError(
            f"PORT, SWEEP_EVERY or STACK_PARAMETERS cannot be read: {error}"
        ) from error
    name = "stack.json" if port == DEFAULT_PORT else f"stack-{port}.json"
    return Options(
        port=port,
        keep=env.get("KEEP") == "1",
        llm_base_url=env.get("LLM_BASE_URL") or None,
        stack_file=Path(env.get("STACK_FILE") or LOCAL / name),
        parameters=parameters,
        sweep_every=sweep_every,
    )


@contextlib.contextmanager
def locked(path: Path, otherwise: str | None = None) -> Iterator[None]:
    """Hold a lock file; when it is held elsewhere, wait, or raise StackError(otherwise)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if otherwise else 0))
        except BlockingIOError as error:
            raise StackError(otherwise or "") from error
        yield


def require_port(port: int) -> None:
    """StackError when something listens at the edge's port."""
    if free_port(port) != port:
        raise StackError(
            f"Port {port} of 127.0.0.1 is taken, perhaps by another local stack. "
            f"End that, or choose another: PORT={port + 10} make run"
        )


def fingerprint() -> str:
    """A digest of everything that the build is made from."""
    digest = hashlib.sha256(f"{RUNTIME} {ARCHITECTURE}".encode())
    for source in SOURCES:
        top = ROOT / source
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in files:
            if "__pycache__" in path.parts or path.suffix == ".pyc":
                continue
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


async def build(progress: Progress) -> None:
    """`sam build`, unless the sources are the ones of the last build."""
    stamp = BUILD / STAMP
    with locked(LOCAL / "build.lock"):
        wanted = fingerprint()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        with progress.step(f"Building functions and layers for {RUNTIME} on {ARCHITECTURE}"):
            stamp.unlink(missing_ok=True)
            env = os.environ | {
                "AWS_DEFAULT_REGION": "us-east-1",
                "PARLEY_RUNTIME": RUNTIME,
                "PARLEY_ARCHITECTURE": ARCHITECTURE,
                "PARLEY_BYTECODE_ONLY": "1",
                # For make in the layers: uv, and the interpreter to compile with.
                "PATH": ":".join([str(UV_BIN), str(PYTHON_BIN), os.environ["PATH"]]),
                "SAM_CLI_TELEMETRY": "0",
            }
            command = [
                str(SAM),
                "build",
                "--template",
                str(ROOT / "template.yaml"),
                "--build-dir",
                str(BUILD),
            ]
            command += ["--parameter-overrides", f"Runtime={RUNTIME} Architecture={ARCHITECTURE}"]
            command += ["--cached", "--cache-dir", str(LOCAL / "build-cache")]
            await run("sam build", command, LOCAL / "build.log", env)
            stamp.write_text(wanted)


def template_parameters(options: Options, emulator: Emulator) -> dict[str, str]:
    """The template's parameters for this machine, the user's own last."""
    snap_start = "PublishedVersions" if sys.version_info >= (3, 12) else "None"
    values = {
        "Runtime": RUNTIME,
        "Architecture": ARCHITECTURE,
        "SnapStart": snap_start,
        "DeletionProtection": "false",
        "LocalProviders": "true",
        # The emulator cannot read this bound from a parameter; its own is 5 batches per queue.
        "RunnerMaximumConcurrency": "0",
        "SocketEndpointBase": f"{emulator.endpoint}/_aws/execute-api",
        **options.parameters,
    }
    release = hashlib.sha256(f"{(BUILD / STAMP).read_text()} {values}".encode()).hexdigest()
    return {**values, "Release": release[:10]}


async def deploy(options: Options, emulator: Emulator) -> dict[str, str]:
    """`sam deploy` into the emulator; the outputs of the stack."""
    session = emulator.session()

    def prepare_bucket() -> None:
        session.client("s3", endpoint_url=emulator.endpoint).create_bucket(Bucket=BUCKET)

    def outputs() -> dict[str, str]:
        formation = session.client("cloudformation", endpoint_url=emulator.endpoint)
        stack = formation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    await asyncio.to_thread(prepare_bucket)
    command = [str(SAM), "deploy", "--template-file", str(BUILD / "template.yaml")]
    command += ["--stack-name", STACK_NAME, "--s3-bucket", BUCKET, "--region", REGION]
    command += [
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--no-confirm-changeset",
    ]
    command += ["--no-fail-on-empty-changeset", "--no-progressbar", "--parameter-overrides"]
    command += [f"{name}={value}" for name, value in template_parameters(options, emulator).items()]
    await run("sam deploy", command, options.home / "deploy.log", emulator.environment())
    return await asyncio.to_thread(outputs)


def invoker(
    emulator: Emulator, function_name: str
) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """A call of a function of the stack; it raises StackError when the function fails."""
    client = emulator.session().client("lambda", endpoint_url=emulator.endpoint)

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        answer = client.invoke(FunctionName=function_name, Payload=json.dumps(event).encode())
        result: dict[str, Any] = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise StackError(f"The function {function_name} fails: {json.dumps(result)}")
        return result

    return lambda event: asyncio.to_thread(invoke, event)


async def start_devmodel(home: Path, port: int) -> Child:
    """Start the development model and wait until it answers."""
    command = [sys.executable, "-m", "local.devmodel", "--port", str(port)]
    child = await start("development model", command, home / "devmodel.log", os.environ)
    try:
        await until_answers(child, f"http://127.0.0.1:{port}/")
    except BaseException:
        await child.stop()
        raise
    return child


async def seed_once(
    options: Options, outputs: Mapping[str, str], emulator: Emulator, llm_base_url: str
) -> Seeded:
    """Seed, unless the kept data is seeded already: keys are shown only once."""
    path = options.home / "seeded.json"
    if path.exists():
        kept: Seeded = json.loads(path.read_text())
        return kept
    seeded = await seed(outputs, emulator.environment(), llm_base_url)
    if options.keep:
        write_private(path, dict(seeded))
    return seeded


async def sweep(emulator: Emulator, function_name: str, every: float) -> None:
    """Invoke the sweeper every few seconds, as the schedule does every minute."""
    client = emulator.session().client("lambda", endpoint_url=emulator.endpoint)
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(
            lambda: client.invoke(FunctionName=function_name, InvocationType="Event", Payload=b"{}")
        )


def read_ports(options: Options) -> Ports:
    """The ports behind the edge: those of the last run where they are free."""
    path = options.home / "ports.json"
    last = Ports(**json.loads(path.read_text())) if path.exists() else None
    ports = Ports(
        free_port(last.emulator if last else None), free_port(last.devmodel if last else None)
    )
    if options.keep and last and ports != last:
        raise StackError(f"The kept data needs the ports {last}, and one of them is taken.")
    path.write_text(json.dumps(asdict(ports)))
    return ports


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON whole or not at all, and for the user only: there are keys in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".writing")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(path)


def summary(stack: Mapping[str, object], options: Options) -> str:
    """What to read, and three commands to copy."""
    api, key = stack["api"], stack["user_key"]
    return f"""
  Parley is ready.

    HTTP API     {api}
    WebSocket    {stack["websocket"]}
    account      {stack["account"]}
    admin key    {stack["admin_key"]}
    user key     {key}
    logs         {options.home}/*.log

  Try:

    uv run parley prompt "What's a banana?"
    uv run parley status
    curl -s {api}/prompt-svc/prompt -H 'Authorization: Bearer {key}' \\
         -d '{{"prompt": "What is a banana?", "sync": true}}'

  Ctrl-C ends it.{"" if options.keep else " Its data goes with it (KEEP=1 keeps them)."}
"""


async def serve(options: Options, stop: asyncio.Event) -> None:
    """Bring everything up, wait until told to stop or something ends, take everything down."""
    progress = Progress()
    if not options.keep:
        for name in ("state", "s3", "tmp"):
            shutil.rmtree(options.home / name, ignore_errors=True)
        (options.home / "seeded.json").unlink(missing_ok=True)
    ports = read_ports(options)
    async with AsyncExitStack() as open_things:
        print("Parley on this machine:", flush=True)
        emulator = await start_emulator(
            EMULATOR_PYTHON, options.home, ports.emulator, keep=options.keep
        )
        open_things.push_async_callback(emulator.child.stop)
        children = [emulator.child]
        await build(progress)
        with progress.step("Starting the emulator of AWS"):
            await until_answers(emulator.child, f"{emulator.endpoint}/_ministack/health")
        with progress.step("Deploying the stack"):
            outputs = await deploy(options, emulator)
        llm_base_url = options.llm_base_url
        if llm_base_url is None:
            with progress.step("Starting the development model"):
                devmodel = await start_devmodel(options.home, ports.devmodel)
            open_things.push_async_callback(devmodel.stop)
            children.append(devmodel)
            llm_base_url = f"http://127.0.0.1:{ports.devmodel}/v1"
        with progress.step("Seeding, and starting a runner"):
            # An empty batch: the first prompt need not wait for a runner's start, and a runner
            # that cannot start at all is found out here.
            warm = invoker(emulator, outputs["RunnerFunctionName"])({"Records": []})
            seeded, _ = await asyncio.gather(
                seed_once(options, outputs, emulator, llm_base_url), warm
            )
        base = f"{emulator.endpoint}/_aws/execute-api"
        targets = edge.Targets(
            http=f"{base}/{outputs['HttpApiId']}/$default",
            socket=f"{base}/{outputs['SocketApiId']}/{outputs['SocketUrl'].rsplit('/', 1)[1]}",
            invoke=invoker(emulator, f"{outputs['ApiFunctionName']}:live"),
        )
        await open_things.enter_async_context(edge.serving(targets, options.port))
        stack = {
            "api": f"http://localhost:{options.port}",
            "websocket": f"ws://localhost:{options.port}/ws",
            **seeded,
            "devmodel": None if options.llm_base_url else f"http://127.0.0.1:{ports.devmodel}",
            "aws_endpoint": emulator.endpoint,
            "aws_region": REGION,
            "stack_name": STACK_NAME,
            "emulator_pid": emulator.child.pid,
            "home": str(options.home),
            "outputs": outputs,
        }
        # Its presence says that the stack is ready.
        write_private(options.stack_file, stack)
        open_things.callback(options.stack_file.unlink, missing_ok=True)
        print(f"  Ready after {time.monotonic() - progress.began:.1f} s.", flush=True)
        print(summary(stack, options), flush=True)
        await until_stopped(options, stop, emulator, outputs, children)
        print("Ending.", flush=True)


async def until_stopped(
    options: Options,
    stop: asyncio.Event,
    emulator: Emulator,
    outputs: Mapping[str, str],
    children: Sequence[Child],
) -> None:
    """Return when told to stop; StackError when a process ends by itself."""
    watchers = {asyncio.create_task(child.process.wait()): child for child in children}
    told = asyncio.create_task(stop.wait())
    tasks: set[asyncio.Task[Any]] = {told, *watchers}
    if options.sweep_every:
        tasks.add(
            asyncio.create_task(
                sweep(emulator, outputs["SweeperFunctionName"], options.sweep_every)
            )
        )
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if told in done:
        return
    for task in done:
        if child := watchers.get(task):
            raise StackError(
                f"The {child.name} has ended by itself. Its last lines:\n{child.last_words()}"
            )
        task.result()  # The sweeper's invocation failed: say how.


async def main() -> int:
    """Run the stack; the exit status."""
    # A profile of the user's must neither be used nor be complained about.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    stop = asyncio.Event()
    work: asyncio.Task[None] | None = None

    def interrupt() -> None:
        # Make passes a signal on that the terminal has sent us already: the second is no news.
        starting = not options.stack_file.exists()
        if starting and work is not None and not stop.is_set():
            work.cancel()
        stop.set()

    try:
        options = read_options(os.environ)
        with locked(
            options.home / "lock", f"A local stack with port {options.port} is running already."
        ):
            options.stack_file.unlink(missing_ok=True)
            require_port(options.port)
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, interrupt)
            work = asyncio.create_task(serve(options, stop))
            await work
    except StackError as error:
        print(f"\nmake run: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
