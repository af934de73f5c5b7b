"""`python -m local.stack`: the whole of Parley on the loopback address.

Emulator, `sam build`, `sam deploy` into it, development model, seeding, edge. It runs until it
is interrupted or one of its processes ends. Options are environment variables, which pass
through make:

PORT               where the edge listens (9357)
KEEP=1             keep the data for the next run
LLM_BASE_URL       an OpenAI-compatible provider to use instead of the development model, with
                   LLM_MODEL (its name of the model) and LLM_API_KEY
STACK_FILE         where to write what a client needs to know (.local/stack.json; for another
                   port .local/stack-PORT.json)
STACK_PARAMETERS   template parameters, e.g. "LeaseSeconds=4 BackoffBaseSeconds=0.2"
SWEEP_EVERY        seconds between sweeps, shorter than EventBridge Scheduler's minute: the
                   sweeper is then invoked from here, with the same event
"""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local import edge
from local.deployment import (
    ARCHITECTURE,
    LOCAL,
    RUNTIME,
    STACK_NAME,
    TOOLS,
    build,
    built,
    deploy,
    invoker,
    locked,
)
from local.emulator import (
    REGION,
    Aws,
    forget_aws_settings,
    free_port,
    start_emulator,
    until_answers,
)
from local.processes import Child, StackError, delete_behind, start
from local.seed import Provider, Seeded, seed

EMULATOR_PYTHON = TOOLS / "emulator" / "bin" / "python"
DEFAULT_PORT = 9357
DEVELOPMENT_MODEL = "parley-dev"


@dataclass(frozen=True)
class Options:
    """What the environment asks for."""

    port: int
    keep: bool
    provider: Provider | None
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


def read_parameters(env: Mapping[str, str]) -> dict[str, str]:
    """The template parameters in STACK_PARAMETERS; StackError when it cannot be read."""
    try:
        return dict(pair.split("=", 1) for pair in shlex.split(env.get("STACK_PARAMETERS", "")))
    except ValueError as error:
        raise StackError(f"STACK_PARAMETERS cannot be read: {error}") from error


def read_provider(env: Mapping[str, str]) -> Provider | None:
    """The provider to use instead of the development model, if one is named."""
    base_url = env.get("LLM_BASE_URL")
    if not base_url:
        return None
    model = env.get("LLM_MODEL")
    if not model:
        raise StackError("LLM_BASE_URL needs LLM_MODEL: the provider's name of the model.")
    return Provider(base_url=base_url, model=model, key=env.get("LLM_API_KEY", ""))


def read_options(env: Mapping[str, str]) -> Options:
    """The options from the environment; StackError when one makes no sense."""
    try:
        port = int(env.get("PORT") or DEFAULT_PORT)
        sweep_every = float(env["SWEEP_EVERY"]) if env.get("SWEEP_EVERY") else None
    except ValueError as error:
        raise StackError(f"PORT or SWEEP_EVERY cannot be read: {error}") from error
    name = "stack.json" if port == DEFAULT_PORT else f"stack-{port}.json"
    return Options(
        port=port,
        keep=env.get("KEEP") == "1",
        provider=read_provider(env),
        stack_file=Path(env.get("STACK_FILE") or LOCAL / name),
        parameters=read_parameters(env),
        sweep_every=sweep_every,
    )


def require_port(port: int) -> None:
    """StackError when something listens at the edge's port."""
    if free_port(port) != port:
        raise StackError(
            f"Port {port} of 127.0.0.1 is taken, perhaps by another local stack. "
            f"End that, or choose another: PORT={port + 10} make run"
        )


async def start_devmodel(home: Path, port: int) -> Child:
    """Start the development model."""
    command = [sys.executable, "-m", "local.devmodel", "--port", str(port)]
    return await start("development model", command, home / "devmodel.log", os.environ)


def require_health(api: str) -> None:
    """StackError when the API, called through the edge, does not say that it is healthy."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=30) as answer:  # noqa: S310 (loopback only)
            answer.read()
    except urllib.error.HTTPError as error:
        raise StackError(f"The API is not healthy: {error.read().decode()}") from error
    except OSError as error:
        raise StackError(f"The API does not answer: {error}") from error


async def seed_once(options: Options, aws: Aws, provider: Provider) -> Seeded:
    """Seed, unless the kept data is seeded already: keys are shown only once."""
    path = options.home / "seeded.json"
    if path.exists():
        kept: Seeded = json.loads(path.read_text())
        return kept
    api = f"http://127.0.0.1:{options.port}"
    seeded = await seed(STACK_NAME, aws.environment(), provider, api)
    if options.keep:
        write_private(path, dict(seeded))
    return seeded


async def sweep(aws: Aws, function_name: str, every: float) -> None:
    """Invoke the sweeper every few seconds, as the schedule does every minute."""
    client = aws.session().client("lambda", endpoint_url=aws.endpoint)
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
    """What to open, what to read, and three commands to copy."""
    api, key = stack["api"], stack["user_key"]
    page = f"http://stackademy.{stack['account']}.api.localhost:{options.port}/"
    chosen = ""
    if options.stack_file != LOCAL / "stack.json":
        # Without it the command would talk to the stack on the usual port, if that runs as well.
        chosen = f"\n    export PARLEY_STACK={shlex.quote(str(options.stack_file))}"
    return f"""
  Parley is ready.

    chat page    {page}
    workbench    {api}/workbench/#key={stack["admin_key"]}
    HTTP API     {api}
    WebSocket    {stack["websocket"]}
    account      {stack["account"]}
    admin key    {stack["admin_key"]}
    user key     {key}
    logs         {options.home}/*.log

  Try:
{chosen}
    .venv/bin/parley chat stackademy
    .venv/bin/parley prompt "What's a banana?"
    curl -s {api}/prompt-svc/prompt -H 'Authorization: Bearer {key}' \\
         -d '{{"prompt": "What is a banana?", "sync": true}}'

  Ctrl-C ends it.{"" if options.keep else " Its data goes with it (KEEP=1 keeps them)."}
"""


async def serve(options: Options, stop: asyncio.Event) -> None:
    """Bring everything up, wait until told to stop or something ends, take everything down."""
    progress = Progress()
    if not options.keep:
        forget(options)
    delete_behind(options.home / "tmp")
    ports = read_ports(options)
    aws = Aws(f"http://127.0.0.1:{ports.emulator}")
    async with AsyncExitStack() as open_things:
        print("Parley on this machine:", flush=True)
        open_things.callback(delete_behind, options.home / "tmp")
        children, provider = await start_processes(options, ports, open_things)
        async with locked(LOCAL / "build.lock"):
            outputs = await brought_up(options, ports, aws, children, progress)
        await open_things.enter_async_context(edge.serving(targets(aws, outputs), options.port))
        with progress.step("Seeding, and starting the functions"):
            # The first call need not wait for a function's start, and a function that cannot
            # start at all is found out here. For the runner an empty batch will do.
            start_runner = invoker(aws, outputs["RunnerFunctionName"])({"Records": []})
            start_api = asyncio.to_thread(require_health, f"http://127.0.0.1:{options.port}")
            seeded, *_ = await asyncio.gather(
                seed_once(options, aws, provider), start_runner, start_api
            )
        stack = description(options, ports, aws, outputs, seeded) | {
            "emulator_pid": children[0].pid
        }
        # Its presence says that the stack is ready.
        write_private(options.stack_file, stack)
        open_things.callback(options.stack_file.unlink, missing_ok=True)
        print(f"  Ready after {time.monotonic() - progress.began:.1f} s.", flush=True)
        print(summary(stack, options), flush=True)
        await until_stopped(options, stop, aws, outputs, children)
        print("Ending.", flush=True)


def forget(options: Options) -> None:
    """Delete what an earlier stack has stored."""
    for name in ("state", "s3"):
        shutil.rmtree(options.home / name, ignore_errors=True)
    (options.home / "seeded.json").unlink(missing_ok=True)


async def start_processes(
    options: Options, ports: Ports, open_things: AsyncExitStack
) -> tuple[list[Child], Provider]:
    """The emulator first, then the development model unless a real provider is given."""
    emulator = await start_emulator(
        EMULATOR_PYTHON, options.home, ports.emulator, keep=options.keep
    )
    open_things.push_async_callback(emulator.stop)
    if options.provider is not None:
        return [emulator], options.provider
    devmodel = await start_devmodel(options.home, ports.devmodel)
    open_things.push_async_callback(devmodel.stop)
    base_url = f"http://127.0.0.1:{ports.devmodel}/v1"
    return [emulator, devmodel], Provider(base_url=base_url, model=DEVELOPMENT_MODEL, key="")


async def brought_up(
    options: Options, ports: Ports, aws: Aws, children: Sequence[Child], progress: Progress
) -> dict[str, str]:
    """Build what has changed, wait for the processes, deploy; the outputs of the stack."""
    if not built():
        with progress.step(f"Building functions and layers ({RUNTIME}, {ARCHITECTURE})"):
            await build()
    emulator, *others = children
    waiting = " and the development model" if others else ""
    with progress.step(f"Starting the emulator of AWS{waiting}"):
        await until_answers(emulator, f"{aws.endpoint}/_ministack/health")
        for child in others:
            await until_answers(child, f"http://127.0.0.1:{ports.devmodel}/")
    with progress.step("Deploying the stack"):
        return await deploy(aws, parameters(options, ports), options.home / "deploy.log")


def parameters(options: Options, ports: Ports) -> dict[str, str]:
    """The template's parameters that follow from this stack's ports, the user's own last."""
    values = {
        "ApiDomain": f"api.localhost:{options.port}",
        "PageSocketUrl": f"ws://localhost:{options.port}/ws",
    }
    if options.provider is None:
        weather = f"http://127.0.0.1:{ports.devmodel}/weather/v1"
        values["WeatherGeocodingUrl"] = f"{weather}/search"
        values["WeatherForecastUrl"] = f"{weather}/forecast"
    return values | options.parameters


def targets(aws: Aws, outputs: Mapping[str, str]) -> edge.Targets:
    """Where the edge forwards to."""
    base = f"{aws.endpoint}/_aws/execute-api"
    return edge.Targets(
        http=f"{base}/{outputs['HttpApiId']}/$default",
        socket=f"{base}/{outputs['SocketApiId']}/{outputs['SocketUrl'].rsplit('/', 1)[1]}",
        invoke=invoker(aws, f"{outputs['ApiFunctionName']}:live"),
    )


def description(
    options: Options,
    ports: Ports,
    aws: Aws,
    outputs: Mapping[str, str],
    seeded: Mapping[str, str],
) -> dict[str, Any]:
    """What the stack's file says."""
    return {
        "api": f"http://localhost:{options.port}",
        "websocket": f"ws://localhost:{options.port}/ws",
        **seeded,
        "devmodel": None if options.provider else f"http://127.0.0.1:{ports.devmodel}",
        "aws_endpoint": aws.endpoint,
        "aws_region": REGION,
        "stack_name": STACK_NAME,
        "home": str(options.home),
        "parameters": parameters(options, ports),
        "outputs": outputs,
    }


async def until_stopped(
    options: Options,
    stop: asyncio.Event,
    aws: Aws,
    outputs: Mapping[str, str],
    children: Sequence[Child],
) -> None:
    """Return when told to stop; StackError when a process ends by itself."""
    watchers = {asyncio.create_task(child.process.wait()): child for child in children}
    told = asyncio.create_task(stop.wait())
    tasks: set[asyncio.Task[Any]] = {told, *watchers}
    if options.sweep_every:
        tasks.add(
            asyncio.create_task(sweep(aws, outputs["SweeperFunctionName"], options.sweep_every))
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
    forget_aws_settings()
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
        async with locked(
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
