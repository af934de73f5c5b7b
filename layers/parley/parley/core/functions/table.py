"""The functions by name, as a model is told of them."""

from typing import Any

from parley.core.functions.dates import FORMATS, OPERATIONS
from parley.core.functions.spec import FunctionSpec

UNITS = ("METRIC", "USCS")

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {
            "type": "string",
            "description": "A place, with its state or country after a comma: San Francisco, CA",
        },
        "unit": {
            "type": "string",
            "enum": list(UNITS),
            "default": UNITS[0],
            "description": "METRIC: °C, mm (snow: cm), km/h. USCS: °F, inches, mph.",
        },
    },
    "required": ["location"],
    "additionalProperties": False,
}

CALCULATOR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "description": (
                "Numbers, + - * / % and ** (power), parentheses, pi, e, and functions such as "
                "sqrt, log, sin, round, min, max: 2 * sqrt(16) + 3 ** 2"
            ),
        },
    },
    "required": ["expression"],
}

DATE_CALCULATOR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "dates": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Dates, best as YYYY-MM-DD. A time of day is ignored.",
        },
        "operation": {
            "type": "string",
            "enum": list(OPERATIONS),
            "description": (
                "difference: from the first date to the second, negative if that is earlier; "
                "oldest or newest of all dates; convert: one date to date_format; "
                "add or subtract: days to or from one date"
            ),
        },
        "date_format": {
            "type": "string",
            "enum": list(FORMATS),
            "default": "ISO",
            "description": (
                "ISO: 2026-03-31, US: 03/31/2026, EU: 31/03/2026. What convert writes; "
                "otherwise how dates with slashes are read"
            ),
        },
        "days": {"type": "integer", "description": "How many days to add or subtract"},
    },
    "required": ["dates", "operation"],
}

FUNCTIONS = {
    spec.name: spec
    for spec in (
        FunctionSpec(
            "get_current_weather",
            "The weather at a place, hour by hour for 24 hours from now, in its local time.",
            WEATHER,
        ),
        FunctionSpec(
            "date_calculator",
            "Calculates with calendar dates: differences, order, formats, adding days.",
            DATE_CALCULATOR,
        ),
        FunctionSpec("calculator", "Works out an arithmetic expression.", CALCULATOR),
    )
}
