"""A stand-in for the two services of Open-Meteo that Parley asks for the weather.

The shapes are theirs, the weather is made up: the same for the same place and hour, whatever
the day. Places that are not in `PLACES` are unknown. Rules of `/_control` apply: the text of
a call is `weather search Berlin` or `weather forecast 52.52,13.41`, so that
`{"match": "weather search Berlin", "fail": {"status": 500}}` makes one place fail.
"""

import math
import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

STAND_IN = "Parley's stand-in for Open-Meteo: made up, for development and tests"
HOUR = 3600
COUNT = 10
HOURS = 24

# name, admin1, country code, country, latitude, longitude, hours from UTC, population:
# the most populous of a name first, as the service ranks them.
PLACES: Sequence[tuple[str, str, str, str, float, float, int, int]] = (
    ("San Francisco", "Córdoba", "AR", "Argentina", -31.43, -62.08, -3, 900_000),
    ("San Francisco", "California", "US", "United States", 37.77, -122.42, -8, 864_816),
    ("South San Francisco", "California", "US", "United States", 37.65, -122.41, -8, 67_271),
    ("Paris", "Île-de-France", "FR", "France", 48.85, 2.35, 1, 2_138_551),
    ("Paris", "Texas", "US", "United States", 33.66, -95.56, -6, 24_782),
    ("London", "England", "GB", "United Kingdom", 51.51, -0.13, 0, 8_961_989),
    ("London", "Ontario", "CA", "Canada", 42.98, -81.23, -5, 422_324),
    ("Springfield", "Missouri", "US", "United States", 37.22, -93.3, -6, 166_810),
    ("Springfield", "Massachusetts", "US", "United States", 42.1, -72.59, -5, 154_341),
    ("Washington", "District of Columbia", "US", "United States", 38.9, -77.04, -5, 689_545),
    ("Berlin", "State of Berlin", "DE", "Germany", 52.52, 13.41, 1, 3_426_354),
    ("Reykjavík", "Capital Region", "IS", "Iceland", 64.14, -21.9, 0, 118_918),
    ("Oslo", "Oslo County", "NO", "Norway", 59.91, 10.75, 1, 697_010),
    ("Madrid", "Madrid", "ES", "Spain", 40.42, -3.7, 1, 3_255_944),
    ("Rome", "Lazio", "IT", "Italy", 41.89, 12.51, 1, 2_318_895),
    ("Vienna", "Vienna", "AT", "Austria", 48.21, 16.37, 1, 1_691_468),
    ("Lisbon", "Lisbon District", "PT", "Portugal", 38.72, -9.13, 0, 517_802),
    ("Tokyo", "Tokyo", "JP", "Japan", 35.69, 139.69, 9, 8_336_599),
    ("New York", "New York", "US", "United States", 40.71, -74.01, -5, 8_804_190),
    ("Sydney", "New South Wales", "AU", "Australia", -33.87, 151.21, 10, 4_627_345),
)

UNITS = {
    "temperature_unit": ("celsius", "fahrenheit"),
    "wind_speed_unit": ("kmh", "mph"),
    "precipitation_unit": ("mm", "inch"),
}


class Refused(Exception):
    """What the service answers with status 400."""


def search(query: Mapping[str, str]) -> dict[str, Any]:
    """The answer of `/v1/search`; without a match it has no `results`."""
    if "name" not in query:
        raise Refused("Parameter 'name' is required")
    wanted = _folded(query["name"])
    found = [_place(row) for row in PLACES if _named(row[0], wanted)]
    answer: dict[str, Any] = {"generationtime_ms": 0.0, "stand_in": STAND_IN}
    if found:
        answer["results"] = found[: int(query.get("count", COUNT))]
    return answer


def forecast(query: Mapping[str, str], now: float | None = None) -> dict[str, Any]:
    """The answer of `/v1/forecast` to a query with `forecast_hours` and `timezone=auto`."""
    for parameter, known in UNITS.items():
        if query.get(parameter, known[0]) not in known:
            raise Refused(f"Value '{query[parameter]}' for '{parameter}' is not known")
    try:
        latitude, longitude = float(query["latitude"]), float(query["longitude"])
    except (KeyError, ValueError):
        raise Refused("Parameter 'latitude' and 'longitude' must have numbers") from None
    offset = _offset(latitude, longitude) if query.get("timezone") == "auto" else 0
    begin = int(time.time() if now is None else now) // HOUR * HOUR + offset * HOUR
    times = [begin + hour * HOUR for hour in range(int(query.get("forecast_hours", HOURS)))]
    hourly: dict[str, Any] = {"time": [_iso(moment) for moment in times]}
    units = {"time": "iso8601"}
    for name in query.get("hourly", "").split(","):
        if name not in VARIABLES:
            raise Refused(f"Variable '{name}' is not known")
        hourly[name], units[name] = _series(name, times, latitude, query)
    return {
        "latitude": latitude,
        "longitude": longitude,
        "generationtime_ms": 0.0,
        "utc_offset_seconds": offset * HOUR,
        "hourly_units": units,
        "hourly": hourly,
        "stand_in": STAND_IN,
    }


def _named(name: str, wanted: str) -> bool:
    """The service matches two letters exactly and more of them by their beginning, or so."""
    name = _folded(name)
    return len(wanted) > 1 and (name == wanted or (len(wanted) > 2 and wanted in name))


def _folded(name: str) -> str:
    """Without accents: the service finds Reykjavík as Reykjavik, too."""
    apart = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _place(row: tuple[str, str, str, str, float, float, int, int]) -> dict[str, Any]:
    name, admin1, code, country, latitude, longitude, _, population = row
    return {
        "name": name,
        "latitude": latitude,
        "longitude": longitude,
        "country_code": code,
        "country": country,
        "admin1": admin1,
        "population": population,
    }


def _offset(latitude: float, longitude: float) -> int:
    for row in PLACES:
        if row[4:6] == (latitude, longitude):
            return row[6]
    return round(longitude / 15)


def _iso(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(moment))


def _series(
    name: str, times: Sequence[int], latitude: float, query: Mapping[str, str]
) -> tuple[list[float], str]:
    """A variable's values and their unit: warm at the equator and at 15 o'clock, rain at 6."""
    metric, other = VARIABLES[name]
    values = []
    for moment in times:
        hour = moment // HOUR % 24
        day = math.cos((hour - 15) / 24 * 2 * math.pi)
        values.append(_metric(name, hour, day, abs(latitude)))
    if other is None or query.get(other[0], UNITS[other[0]][0]) == UNITS[other[0]][0]:
        return [round(value, 2) for value in values], metric
    _, unit, factor, more = other
    return [round(value * factor + more, 3) for value in values], unit


def _metric(name: str, hour: int, day: float, distance: float) -> float:
    rains = 5 <= hour < 8
    snows = distance > 60
    return {
        "temperature_2m": 30 - distance / 2 + 5 * day,
        "precipitation": 1.2 if rains else 0.0,
        "snowfall": 0.84 if rains and snows else 0.0,
        "weather_code": (73 if snows else 63) if rains else 2,
        "wind_speed_10m": 12 + 4 * day,
        "wind_direction_10m": 15 * hour,
        "wind_gusts_10m": 24 + 8 * day,
        "cloud_cover": 90 if rains else 30,
    }[name]


# The unit, and for some: by which parameter, to which unit and how it changes.
VARIABLES: Mapping[str, tuple[str, tuple[str, str, float, float] | None]] = {
    "temperature_2m": ("°C", ("temperature_unit", "°F", 1.8, 32)),
    "precipitation": ("mm", ("precipitation_unit", "inch", 1 / 25.4, 0)),
    "snowfall": ("cm", ("precipitation_unit", "inch", 1 / 2.54, 0)),
    "weather_code": ("wmo code", None),
    "wind_speed_10m": ("km/h", ("wind_speed_unit", "mp/h", 1 / 1.609344, 0)),
    "wind_direction_10m": ("°", None),
    "wind_gusts_10m": ("km/h", ("wind_speed_unit", "mp/h", 1 / 1.609344, 0)),
    "cloud_cover": ("%", None),
}
