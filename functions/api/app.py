"""Stand-in until the function is written: shows that the event arrives."""

from __future__ import annotations

import json
import os
from typing import Any

import boto3


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Read the table, so that the role is exercised, and echo what came."""
    if os.environ["POWERTOOLS_SERVICE_NAME"] == "runner":
        return {"batchItemFailures": []}
    table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
    found = table.get_item(Key={"pk": "a", "sk": "b"}).get("Item")
    request = event.get("requestContext", {})
    if request.get("eventType") == "MESSAGE":
        client = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["SOCKET_ENDPOINT"])
        client.post_to_connection(ConnectionId=request["connectionId"], Data=event["body"].encode())
        return {"statusCode": 200}
    body = {"event": event, "found": found, "pid": os.getpid()}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
