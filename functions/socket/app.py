"""The socket: lets connections in, answers their frames, forgets them."""

from collections.abc import Mapping
from typing import Any

from parley.assembly_socket import socket_engine
from parley.core.errors import ParleyError
from parley.kept_loop import KeptLoop
from parley.observability import logger, observed
from parley.settings import SocketSettings, read
from parley.wire.errors import status_of

engine = socket_engine(read(SocketSettings))
loop = KeptLoop()


@observed
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Refuses a handshake by its status; answers to frames are posted, not returned."""
    request = event["requestContext"]
    connection_id = request["connectionId"]
    match request["routeKey"]:
        case "$connect":
            query = event.get("queryStringParameters") or {}
            return {"statusCode": loop(connected(connection_id, query))}
        case "$disconnect":
            loop(engine.disconnect(connection_id))
        case _:
            loop(engine.receive(connection_id, event.get("body") or ""))
    return {"statusCode": 200}


async def connected(connection_id: str, query: Mapping[str, str]) -> int:
    """The status of the handshake."""
    try:
        await engine.connect(connection_id, query)
    except ParleyError as error:
        logger.info("refused", extra={"error": type(error).__name__})
        return status_of(type(error))
    return 200
