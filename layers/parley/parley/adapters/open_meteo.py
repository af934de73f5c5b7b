"""The weather, from Open-Meteo: two keyless services, one for places and one for forecasts.

Documented at https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/geocoding-api.
The free service is for non-commercial use and at most 10,000 calls a day; both URLs can name a
server of one's own.
"""

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import httpx2

from parley.adapters.no_cookies import NoCookies
from parley.core.functions import Results, failed
from parley.core.functions.spec import BadArguments, quoted
from parley.core.functions.table import UNITS
from parley.core.place import Place, best, in_words, parts_of
from parley.core.remembered import Remembered
from parley.ports import Clock

GEOCODING_URL = "https://geocoding-api.open-meteo.com/v1/search"
FORECAST_URL = "https://api.open-meteo.com/v1/forecast"

LOCATION_CHARACTERS = 200
PLACES = 50
HOURS = 24
RESPONSE_BYTES = 256 * 1024
CACHE_SECONDS = 300.0
CACHED = 256
# A tool has 20 s, whatever is tried again within them.
CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
PAUSES = (0.2, 0.8)

# The names of the result, which are the service's former ones, and its present ones.
VARIABLES: Mapping[str, str] = {
    "temperature_2m": "temperature_2m",
    "precipitation": "precipitation",
    "snowfall": "snowfall",
    "weathercode": "weather_code",
    "windspeed_10m": "wind_speed_10m",
    "winddirection_10m": "wind_direction_10m",
    "windgusts_10m": "wind_gusts_10m",
    "cloudcover": "cloud_cover",
}
# The service converts. With inches snowfall comes in inches, too, and not in centimetres.
IN_UNITS: Mapping[str, Mapping[str, str]] = {
    "METRIC": {"temperature_unit": "celsius", "wind_speed_unit": "kmh", "precipitation_unit": "mm"},
    "USCS": {
        "temperature_unit": "fahrenheit",
        "wind_speed_unit": "mph",
        "precipitation_unit": "inch",
    },
}

NO_LOCATION = "location must be the name of a place, as San Francisco, CA"


# It tells every URL, and a place that somebody asked for is nothing for a log.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Unanswered(Exception):
    """The service cannot be asked just now; the message is for the model."""


class OpenMeteo:
    """`ports.Weather`.

    Connections belong to the event loop that made them. Redirects are not followed.
    """

    def __init__(
        self, clock: Clock, geocoding_url: str = GEOCODING_URL, forecast_url: str = FORECAST_URL
    ) -> None:
        self._clock = clock
        self._geocoding_url = geocoding_url
        self._forecast_url = forecast_url
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx2.AsyncClient | None = None
        self._places = Remembered[str, list[Place]](CACHE_SECONDS, clock.monotonic, CACHED)
        self._hours = Remembered[str, Results](CACHE_SECONDS, clock.monotonic, CACHED)

    async def forecast(self, arguments: Mapping[str, Any]) -> Results:
        """24 hours from now at `location`, in `unit`; an error as data.

        `date` is the place's own time. A figure that the service does not have is None.
        """
        try:
            return await self._forecast(*_asked(arguments))
        except (BadArguments, Unanswered) as error:
            return failed(str(error))
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return failed("the weather service cannot be reached just now")

    async def aclose(self) -> None:
        """Close the kept connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _forecast(self, location: str, unit: str) -> Results:
        name, qualifiers = parts_of(location)
        if not name:
            raise BadArguments(NO_LOCATION)
        places = await self._found(name)
        place = best(places, name, qualifiers)
        if place is None:
            raise BadArguments(_unknown(location, places))
        return [
            {
                "location": in_words(place),
                "latitude": place.latitude,
                "longitude": place.longitude,
                "unit": unit,
                "forecast": await self._forecast_at(place, unit),
            }
        ]

    async def _found(self, name: str) -> list[Place]:
        key = name.casefold()
        if (known := self._places.get(key)) is not None:
            return known
        asked = {"name": name, "count": str(PLACES), "language": "en", "format": "json"}
        answer = await self._get(self._geocoding_url, asked)
        results = answer.get("results", [])
        if not isinstance(results, list):
            raise _malformed()
        places = [place for result in results if (place := _place(result))]
        self._places.put(key, places)
        return places

    async def _forecast_at(self, place: Place, unit: str) -> Results:
        key = f"{place.latitude},{place.longitude},{unit}"
        if (known := self._hours.get(key)) is not None:
            return known
        asked = {
            "latitude": str(place.latitude),
            "longitude": str(place.longitude),
            "hourly": ",".join(VARIABLES.values()),
            "forecast_hours": str(HOURS),
            "timezone": "auto",
            **IN_UNITS[unit],
        }
        answer = await self._get(self._forecast_url, asked)
        hours = _hours(answer.get("hourly"))
        self._hours.put(key, hours)
        return hours

    async def _get(self, url: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object at a URL. Tried again when the service was not reached or broke down."""
        for pause in (*PAUSES, None):
            try:
                return await self._get_once(url, query)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, _BrokeDown):
                if pause is None:
                    raise
                await self._clock.sleep(pause)
        raise AssertionError  # pragma: no cover - the last round returns or raises

    async def _get_once(self, url: str, query: Mapping[str, str]) -> dict[str, Any]:
        async with self._client().stream("GET", url, params=query) as response:
            if response.status_code >= 500:
                raise _BrokeDown(f"the weather service fails (status {response.status_code})")
            if response.status_code == 429:
                raise Unanswered("the weather service was asked too often; try again later")
            if response.status_code != 200:
                raise Unanswered(f"the weather service refused (status {response.status_code})")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > RESPONSE_BYTES:
                    raise Unanswered("the weather service answered too much")
        return _object(bytes(body))

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            self._loop = loop
            self._http = httpx2.AsyncClient(
                timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
                follow_redirects=False,
                cookies=NoCookies(),
                headers={"Accept-Encoding": "identity", "User-Agent": "Parley"},
            )
        return self._http


class _BrokeDown(Unanswered):
    """A 5xx."""


def _asked(arguments: Mapping[str, Any]) -> tuple[str, str]:
    location, unit = arguments.get("location"), arguments.get("unit") or UNITS[0]
    if not isinstance(location, str) or not 0 < len(location.strip()) <= LOCATION_CHARACTERS:
        raise BadArguments(NO_LOCATION)
    if not isinstance(unit, str) or unit not in UNITS:
        raise BadArguments(f"unit must be one of {', '.join(UNITS)}")
    return location.encode(errors="replace").decode(), unit


def _unknown(location: str, places: list[Place]) -> str:
    if not places:
        return f"no place called {quoted(location)} was found; write it as City, Country"
    known = "; ".join(in_words(place) for place in places[:5])
    return f"none of the places found is {quoted(location)}: {known}"


def _object(body: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        answer = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise _malformed() from None
    if not isinstance(answer, dict):
        raise _malformed()
    return answer


def _place(result: Any) -> Place | None:
    """A place of the answer, or None for what is none."""
    if not isinstance(result, dict):
        return None
    latitude: Any = result.get("latitude")
    longitude: Any = result.get("longitude")
    if not _within(latitude, 90) or not _within(longitude, 180):
        return None
    texts = {
        name: value[:LOCATION_CHARACTERS]
        for name in ("name", "country", "country_code", "admin1", "admin2", "admin3", "admin4")
        if isinstance(value := result.get(name), str)
    }
    return Place(latitude=latitude, longitude=longitude, **texts) if "name" in texts else None


def _within(value: Any, most: int) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= most


def _hours(hourly: Any) -> Results:
    """One entry for each hour, of the columns that the service answers."""
    if not isinstance(hourly, dict):
        raise _malformed()
    times = _column(hourly, "time")
    columns = {name: _column(hourly, theirs) for name, theirs in VARIABLES.items()}
    return [
        {"date": str(times[hour])[:16].replace("T", " ")}
        | {name: _figure(column[hour]) for name, column in columns.items()}
        for hour in range(HOURS)
    ]


def _column(hourly: Mapping[str, Any], name: str) -> list[Any]:
    column = hourly.get(name)
    if not isinstance(column, list) or len(column) < HOURS:
        raise _malformed()
    return column


def _figure(value: Any) -> float | None:
    return value if type(value) in (int, float) and math.isfinite(value) else None


def _malformed() -> Unanswered:
    return Unanswered("the weather service answered something else than expected")
