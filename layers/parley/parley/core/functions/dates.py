"""Calendar dates for a model."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from parley.core.functions.spec import BadArguments, Results, failed, quoted

DATES = 100
CHARACTERS = 40
# From the first to the last day that there is.
DAYS = (date.max - date.min).days

FORMATS = ("ISO", "US", "EU")
SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")


def date_calculator(arguments: Mapping[str, Any]) -> Results:
    """What `operation` makes of `dates`, or an error as data."""
    try:
        return [_calculated(arguments)]
    except BadArguments as error:
        return failed(str(error))


def _calculated(arguments: Mapping[str, Any]) -> dict[str, Any]:
    operation, format_ = arguments.get("operation"), arguments.get("date_format") or "ISO"
    if not isinstance(operation, str) or operation not in OPERATIONS:
        raise BadArguments(f"operation must be one of {', '.join(OPERATIONS)}")
    if not isinstance(format_, str) or format_ not in FORMATS:
        raise BadArguments(f"date_format must be one of {', '.join(FORMATS)}")
    texts = arguments.get("dates")
    if not isinstance(texts, list) or not 0 < len(texts) <= DATES:
        raise BadArguments(f"dates must be a list of 1 to {DATES} dates")
    # What `convert` is asked to write says nothing of how its date is written now.
    written = "" if operation == "convert" else format_
    return OPERATIONS[operation]([_date(text, written) for text in texts], arguments)


def _date(text: object, written: str) -> date:
    """The date that a text means. `written` tells 03/04/2026 of one country from another's."""
    if isinstance(text, str) and len(text) <= CHARACTERS:
        text = text.strip()
        if slashed := SLASHED.fullmatch(text):
            return _slashed(text, slashed, written)
        for read in (date.fromisoformat, _day_of_time):
            try:
                return read(text)
            except ValueError:
                continue
    raise BadArguments(f"a date as YYYY-MM-DD was expected, not {quoted(text)}")


def _day_of_time(text: str) -> date:
    return datetime.fromisoformat(text).date()


def _slashed(text: str, slashed: re.Match[str], written: str) -> date:
    first, second, year = map(int, slashed.groups())
    readings = {"US": (year, first, second), "EU": (year, second, first)}
    wanted = [readings[written]] if written in readings else list(readings.values())
    found = {date(*reading) for reading in wanted if _exists(reading)}
    if len(found) == 1:
        return found.pop()
    why = "can be read in two ways" if found else "is no date"
    raise BadArguments(f"{quoted(text)} {why}; write it as YYYY-MM-DD")


def _exists(reading: tuple[int, int, int]) -> bool:
    try:
        date(*reading)
    except ValueError:
        return False
    return True


def _difference(dates: list[date], _: Mapping[str, Any]) -> dict[str, Any]:
    if len(dates) != 2:
        raise BadArguments("difference takes exactly 2 dates")
    days = (dates[1] - dates[0]).days
    return {
        "difference_days": days,
        "difference_years": days / 365.25,
        "difference_months": days / 30.44,
        "difference_weeks": days / 7,
    }


def _oldest(dates: list[date], _: Mapping[str, Any]) -> dict[str, Any]:
    return {"oldest": min(dates).isoformat()}


def _newest(dates: list[date], _: Mapping[str, Any]) -> dict[str, Any]:
    return {"newest": max(dates).isoformat()}


def _convert(dates: list[date], arguments: Mapping[str, Any]) -> dict[str, Any]:
    day = _only(dates, "convert")
    if (arguments.get("date_format") or "ISO") == "ISO":
        return {"converted": day.isoformat()}
    parts = (day.month, day.day) if arguments["date_format"] == "US" else (day.day, day.month)
    # strftime writes years before 1000 with fewer digits.
    return {"converted": f"{parts[0]:02}/{parts[1]:02}/{day.year:04}"}


def _add(dates: list[date], arguments: Mapping[str, Any]) -> dict[str, Any]:
    return _moved(_only(dates, "add"), _days(arguments))


def _subtract(dates: list[date], arguments: Mapping[str, Any]) -> dict[str, Any]:
    return _moved(_only(dates, "subtract"), -_days(arguments))


def _moved(day: date, days: int) -> dict[str, Any]:
    try:
        return {"result": (day + timedelta(days=days)).isoformat()}
    except OverflowError:
        raise BadArguments("the result is outside of the years 1 to 9999") from None


def _only(dates: list[date], operation: str) -> date:
    if len(dates) != 1:
        raise BadArguments(f"{operation} takes exactly 1 date")
    return dates[0]


def _days(arguments: Mapping[str, Any]) -> int:
    days = arguments.get("days")
    if isinstance(days, float) and days.is_integer():
        days = int(days)
    if not isinstance(days, int) or isinstance(days, bool) or abs(days) > DAYS:
        raise BadArguments(f"days must be a whole number of at most {DAYS}")
    return days


OPERATIONS: Mapping[str, Callable[[list[date], Mapping[str, Any]], dict[str, Any]]] = {
    "difference": _difference,
    "oldest": _oldest,
    "newest": _newest,
    "convert": _convert,
    "add": _add,
    "subtract": _subtract,
}
