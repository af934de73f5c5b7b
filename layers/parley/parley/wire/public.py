"""The calls that need no key."""

from functools import cache
from typing import Literal

from aws_lambda_powertools.event_handler import Response
from typing_extensions import TypedDict

from parley.wire.http_calls import Endpoint

VERSION = "0.1.0"


class Health(TypedDict):
    """The function answers."""

    status: Literal["ok"]
    version: str


async def get_health() -> Health:
    """That the API answers. Nothing behind it is asked."""
    return Health(status="ok", version=VERSION)


@cache
def _document() -> str:
    # Loaded when somebody asks: it takes longer to import than all the rest.
    from parley.wire.openapi import document_text  # noqa: PLC0415

    return document_text()


async def get_openapi() -> Response[str]:
    """What this API answers, as OpenAPI."""
    return Response(200, "application/json", _document())


ENDPOINTS = (
    Endpoint("GET", "/health", get_health, "public", "Health", public=True),
    Endpoint("GET", "/openapi.json", get_openapi, "public", "OpenAPI document", public=True),
)
