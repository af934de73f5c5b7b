"""The table's definition for moto; a test holds the template's against it."""

from typing import Any

NAME = "parley-test"
KEYS_ONLY = {"ProjectionType": "KEYS_ONLY"}
INDEXES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "by_owner": (("g1pk", "g1sk"), KEYS_ONLY),
    "by_account": (("g2pk", "g2sk"), KEYS_ONLY),
    "by_open": (
        ("g3pk", "g3sk"),
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["user_id"]},
    ),
    "by_message": (("g4pk",), KEYS_ONLY),
    "due": (("duepk", "duesk"), KEYS_ONLY),
}


def _schema(*names: str) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": n, "KeyType": k} for n, k in zip(names, kinds, strict=False)]


def definition(name: str = NAME) -> dict[str, Any]:
    """Arguments for `create_table`."""
    keys = {"pk", "sk"}.union(*(names for names, _ in INDEXES.values()))
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _schema("pk", "sk"),
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": "N" if key == "duesk" else "S"}
            for key in sorted(keys)
        ],
        "GlobalSecondaryIndexes": [
            {"IndexName": index, "KeySchema": _schema(*names), "Projection": projection}
            for index, (names, projection) in INDEXES.items()
        ],
    }
