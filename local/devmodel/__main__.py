"""`python -m local.devmodel --port 4570`: run the development model until stopped."""

import argparse
import asyncio
import signal

from local.devmodel.server import application, serving


async def _run(host: str, port: int, api_key: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serving(application(api_key), host, port) as bound:
        print(f"Parley's development model: http://{host}:{bound}/v1", flush=True)
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="local.devmodel", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0: a free one, see the output")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--api-key", default="", help="refuse callers without this key")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.host, arguments.port, arguments.api_key))


if __name__ == "__main__":
    main()
