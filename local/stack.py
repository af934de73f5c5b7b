"""`python -m local.stack`: the whole of Parley on the loopback address.

Emulator, `sam build`, `sam deploy` into it, development model, edge, seeding. It runs until it
is interrupted or one of its processes ends. Its options are those of `local.options`.
"""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from local import edge
from local.deployment import (
    ARCHITECTURE,
    LOCAL,
    RUNTIME,
    TOOLS,
    build,
    built,
    deploy,
    invoker,
    locked,
)
from local.emulator import Aws, forget_aws_settings, start_emulator, until_answers
from local.files import description, forget, seed_once, stack_file
from local.options import Options, read_options
from local.plan import Plan, read_ports, require_port
from local.processes import Child, StackError, delete_behind, start
from local.report import Progress, summary
from local.seed import Seeded

EMULATOR_PYTHON = TOOLS / "emulator" / "bin" / "python"


async def serve(options: Options, stop: asyncio.Event) -> None:
    """Bring everything up, wait until told to stop or something ends, take everything down."""
    progress = Progress()
    clear_away(options)
    plan = Plan(options, read_ports(options))
    async with AsyncExitStack() as open_things:
        print("Parley on this machine:", flush=True)
        children = await start_processes(plan, open_things)
        async with locked(LOCAL / "build.lock"):
            if not built():
                with progress.step(f"Building functions and layers ({RUNTIME}, {ARCHITECTURE})"):
                    await build()
            also = " and the development model" if plan.devmodel else ""
            with progress.step(f"Starting the emulator of AWS{also}"):
                await until_all_answer(plan, children)
            with progress.step("Deploying the stack"):
                outputs = await deploy(plan.aws, plan.parameters, options.home / "deploy.log")
        await open_things.enter_async_context(
            edge.serving(targets(plan.aws, outputs), options.port)
        )
        with progress.step("Seeding, and starting the functions"):
            seeded = await seed_and_start(plan, outputs)
        stack = description(plan, outputs, seeded, children[0].pid)
        open_things.enter_context(stack_file(options, stack))
        progress.ready()
        print(summary(stack, options), flush=True)
        await until_stopped(plan, stop, outputs, children)
        print("Ending.", flush=True)


def clear_away(options: Options) -> None:
    """Delete what an earlier stack has left, but for the data if they are to be kept."""
    if not options.keep:
        forget(options)
    delete_behind(options.home / "tmp")


async def start_processes(plan: Plan, open_things: AsyncExitStack) -> list[Child]:
    """The emulator first, then the development model unless a real provider is given."""
    home = plan.options.home
    open_things.callback(delete_behind, home / "tmp")
    children = [
        await start_emulator(EMULATOR_PYTHON, home, plan.ports.emulator, keep=plan.options.keep)
    ]
    open_things.push_async_callback(children[0].stop)
    if plan.devmodel:
        command = [sys.executable, "-m", "local.devmodel", "--port", str(plan.ports.devmodel)]
        children.append(
            await start("development model", command, home / "devmodel.log", os.environ)
        )
        open_things.push_async_callback(children[1].stop)
    return children


async def until_all_answer(plan: Plan, children: Sequence[Child]) -> None:
    """Wait for the processes; StackError when one ends or takes too long."""
    addresses = (f"{plan.aws.endpoint}/_ministack/health", f"{plan.devmodel}/")
    for child, address in zip(children, addresses, strict=False):
        await until_answers(child, address)


def targets(aws: Aws, outputs: Mapping[str, str]) -> edge.Targets:
    """Where the edge forwards to."""
    base = f"{aws.endpoint}/_aws/execute-api"
    return edge.Targets(
        http=f"{base}/{outputs['HttpApiId']}/$default",
        socket=f"{base}/{outputs['SocketApiId']}/{outputs['SocketUrl'].rsplit('/', 1)[1]}",
        invoke=invoker(aws, f"{outputs['ApiFunctionName']}:live"),
    )


async def seed_and_start(plan: Plan, outputs: Mapping[str, str]) -> Seeded:
    """Seed, and call the runner and the API meanwhile.

    The first call need not wait for a function's start then, and a function that cannot start
    at all is found out here. For the runner an empty batch will do.
    """
    start_runner = invoker(plan.aws, outputs["RunnerFunctionName"])({"Records": []})
    start_api = asyncio.to_thread(require_health, plan.edge)
    seeded: Seeded
    seeded, *_ = await asyncio.gather(seed_once(plan), start_runner, start_api)
    return seeded


def require_health(api: str) -> None:
    """StackError when the API, called through the edge, does not say that it is healthy."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=30) as answer:  # noqa: S310 (loopback only)
            answer.read()
    except urllib.error.HTTPError as error:
        raise StackError(f"The API is not healthy: {error.read().decode()}") from error
    except OSError as error:
        raise StackError(f"The API does not answer: {error}") from error


async def until_stopped(
    plan: Plan, stop: asyncio.Event, outputs: Mapping[str, str], children: Sequence[Child]
) -> None:
    """Return when told to stop; StackError when a process ends by itself."""
    watchers = {asyncio.create_task(child.process.wait()): child for child in children}
    told = asyncio.create_task(stop.wait())
    tasks: set[asyncio.Task[Any]] = {told, *watchers}
    if every := plan.options.sweep_every:
        tasks.add(asyncio.create_task(sweep(plan.aws, outputs["SweeperFunctionName"], every)))
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


async def sweep(aws: Aws, function_name: str, every: float) -> None:
    """Invoke the sweeper every few seconds, as the schedule does every minute."""
    client = aws.session().client("lambda", endpoint_url=aws.endpoint)
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(
            lambda: client.invoke(FunctionName=function_name, InvocationType="Event", Payload=b"{}")
        )


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
