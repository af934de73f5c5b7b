"""The HTTP API: an event in, an answer out. The rules are in `parley.wire`."""

from typing import Any

from parley.assembly_api import api_engine
from parley.kept_loop import KeptLoop
from parley.observability import CallsObserver, observed
from parley.settings import ApiSettings, read
from parley.wire.http import Http

http = Http(api_engine(read(ApiSettings)), KeptLoop(), CallsObserver())


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers a call of API Gateway (HTTP API, payload 2.0)."""
    return http.resolve(event, context)
