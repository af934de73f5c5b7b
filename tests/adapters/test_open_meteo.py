"""The weather adapter against the stand-in for Open-Meteo, and against servers worse than it."""

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from parley.adapters import open_meteo
from parley.adapters.open_meteo import CACHE_SECONDS, CACHED, PAUSES, RESPONSE_BYTES, OpenMeteo
from parley.ports import Weather

from local.devmodel import weather as stand_in_weather
from local.devmodel.server import application, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FIGURES = {
    "temperature_2m",
    "precipitation",
    "snowfall",
    "weathercode",
    "windspeed_10m",
    "winddirection_10m",
    "windgusts_10m",
    "cloudcover",
}


class QuickClock:
    """Pauses take no time; the time of the cache passes when a test says so."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.seconds = 0.0

    def now(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


class StandIn:
    """The stand-in of a test, and its control."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/weather/v1"
        self._control = f"http://127.0.0.1:{port}/_control"
        self._session = session

    async def told(self, match: str, **rule: Any) -> None:
        async with self._session.post(self._control, json={"match": match} | rule) as response:
            assert response.status == 200, await response.text()

    async def calls(self, match: str = "weather") -> list[str]:
        async with self._session.get(self._control, params={"match": match}) as response:
            return [call["text"] for call in (await response.json())["calls"]]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with (
        serving(application(), "127.0.0.1", 0) as port,
        aiohttp.ClientSession() as session,
    ):
        yield StandIn(session, port)


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


Make = Callable[[str], OpenMeteo]


@pytest.fixture
async def make(clock: QuickClock) -> AsyncIterator[Make]:
    async with AsyncExitStack() as opened:

        def made(url: str) -> OpenMeteo:
            weather = OpenMeteo(clock, f"{url}/search", f"{url}/forecast")
            opened.push_async_callback(weather.aclose)
            return weather

        yield made


@pytest.fixture
def weather(make: Make, stand_in: StandIn) -> OpenMeteo:
    return make(stand_in.url)


async def told(weather: Weather, location: Any, **more: Any) -> dict[str, Any]:
    (answer,) = await weather.forecast({"location": location} | more)
    return answer


async def error(weather: Weather, location: Any = "Berlin", **more: Any) -> str:
    answer = await told(weather, location, **more)
    assert list(answer) == ["error"], answer
    return answer["error"]


async def test_the_weather_comes_for_24_hours_from_now(weather):
    before = datetime.now(UTC)
    answer = await told(weather, "Berlin")
    after = datetime.now(UTC)
    assert list(answer) == ["location", "latitude", "longitude", "unit", "forecast"]
    assert answer["location"] == "Berlin, State of Berlin, Germany"
    assert (answer["latitude"], answer["longitude"], answer["unit"]) == (52.52, 13.41, "METRIC")
    # The stand-in's Berlin is an hour ahead of UTC, all the year.
    hours = [datetime.fromisoformat(f"{e['date']}+01:00") for e in answer["forecast"]]
    assert before - timedelta(hours=1) < hours[0] <= after
    assert hours == [hours[0] + timedelta(hours=hour) for hour in range(24)]
    for entry in answer["forecast"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:00", entry["date"])
        assert set(entry) == FIGURES | {"date"}
        assert all(type(entry[name]) in (int, float) for name in FIGURES)


async def test_units_are_converted_by_the_service(weather, monkeypatch):
    # No full hour may come between the two forecasts.
    forecast, noon = stand_in_weather.forecast, 1_764_158_400
    monkeypatch.setattr(stand_in_weather, "forecast", lambda query: forecast(query, noon))
    metric = (await told(weather, "Reykjavik"))["forecast"]
    uscs = (await told(weather, "Reykjavik", unit="USCS"))["forecast"]
    assert any(entry["snowfall"] for entry in metric)
    for ours, theirs in zip(metric, uscs, strict=True):
        assert theirs["temperature_2m"] == pytest.approx(ours["temperature_2m"] * 1.8 + 32, abs=0.1)
        assert theirs["precipitation"] == pytest.approx(ours["precipitation"] / 25.4, abs=0.01)
        assert theirs["snowfall"] == pytest.approx(ours["snowfall"] / 2.54, abs=0.01)
        assert theirs["windspeed_10m"] == pytest.approx(ours["windspeed_10m"] / 1.609, abs=0.01)
        assert theirs["winddirection_10m"] == ours["winddirection_10m"]


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("San Francisco", "San Francisco, Córdoba, Argentina"),
        ("San Francisco, CA", "San Francisco, California, United States"),
        ("san francisco, california, USA", "San Francisco, California, United States"),
        ("San Francisco,US", "San Francisco, California, United States"),
        ("South San Francisco, CA", "South San Francisco, California, United States"),
        ("Paris", "Paris, Île-de-France, France"),
        ("Paris, Ile de France", "Paris, Île-de-France, France"),
        ("Paris, TX", "Paris, Texas, United States"),
        ("Paris, Texas", "Paris, Texas, United States"),
        ("London, UK", "London, England, United Kingdom"),
        ("London, Ontario", "London, Ontario, Canada"),
        ("London, CA", "London, Ontario, Canada"),
        ("London, ON, Canada", "London, Ontario, Canada"),
        ("Washington, D.C.", "Washington, District of Columbia, United States"),
        ("Springfield, MA", "Springfield, Massachusetts, United States"),
        ("Springfield, U.S.A., MA", "Springfield, Massachusetts, United States"),
        ("Sydney, NSW", "Sydney, New South Wales, Australia"),
        ("  Berlin , ", "Berlin, State of Berlin, Germany"),
        ("REYKJAVÍK", "Reykjavík, Capital Region, Iceland"),
    ],
)
async def test_the_place_that_is_meant_is_found(weather, location, found):
    assert (await told(weather, location))["location"] == found


async def test_an_unknown_place_is_told_as_data(weather):
    said = await error(weather, "Atlantis, Ocean")
    assert "'Atlantis, Ocean'" in said
    assert "City, Country" in said


async def test_a_place_in_no_such_state_is_told_with_those_that_there_are(weather):
    said = await error(weather, "Springfield, Bavaria")
    assert "'Springfield, Bavaria'" in said
    assert "Springfield, Missouri, United States" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "location must be"),
        ({"location": ""}, "location must be"),
        ({"location": " , CA"}, "location must be"),
        ({"location": ["Berlin"]}, "location must be"),
        ({"location": "x" * 201}, "location must be"),
        ({"location": "Berlin", "unit": "KELVIN"}, "METRIC, USCS"),
        ({"location": "Berlin", "unit": ["METRIC"]}, "METRIC, USCS"),
    ],
)
async def test_bad_arguments_are_told_as_data_without_asking_anybody(
    weather, stand_in, arguments, said
):
    (answer,) = await weather.forecast(arguments)
    assert said in answer["error"]
    assert await stand_in.calls() == []


async def test_hostile_names_are_only_names(weather):
    for name in ("Berlin&count=0", "\ud800\ud801", "../../x", "Berlin\r\nHost: x", "%00", "#"):
        assert "was found" in await error(weather, name)


async def test_an_answer_is_kept_for_five_minutes(weather, stand_in, clock):
    first = await told(weather, "Berlin, DE")
    assert await told(weather, "BERLIN") == first
    assert len(await stand_in.calls()) == 2
    await told(weather, "Berlin", unit="USCS")
    assert len(await stand_in.calls("search")) == 1
    assert len(await stand_in.calls("forecast")) == 2
    clock.seconds = CACHE_SECONDS
    await told(weather, "Berlin")
    assert len(await stand_in.calls("search")) == 2
    assert len(await stand_in.calls("forecast")) == 3


async def test_no_more_than_so_many_answers_are_kept(make, stand_in, monkeypatch):
    assert CACHED == 256
    monkeypatch.setattr(open_meteo, "CACHED", 2)
    weather = make(stand_in.url)
    for name in ("Berlin", "Sydney", "Berlin", "Reykjavik"):
        await told(weather, name)
    assert len(await stand_in.calls("search")) == 3
    await told(weather, "Sydney")
    assert len(await stand_in.calls("search")) == 3
    await told(weather, "Berlin")
    assert len(await stand_in.calls("search")) == 4


async def test_an_error_is_not_kept(weather, stand_in):
    await stand_in.told("weather forecast", fail={"status": 400})
    assert "refused (status 400)" in await error(weather)
    await stand_in.told("weather forecast", fail=None)
    assert "forecast" in await told(weather, "Berlin")


@pytest.mark.parametrize("which", ["search", "forecast"])
async def test_a_service_that_fails_twice_is_asked_again(weather, stand_in, clock, which):
    await stand_in.told(f"weather {which}", fail={"status": 503, "count": 2})
    assert "forecast" in await told(weather, "Berlin")
    assert clock.pauses == list(PAUSES)
    assert len(await stand_in.calls(which)) == 3


async def test_a_service_that_fails_is_given_up_after_three_tries(weather, stand_in):
    await stand_in.told("weather search", fail={"status": 500})
    assert "fails (status 500)" in await error(weather)
    assert len(await stand_in.calls()) == 3


@pytest.mark.parametrize(("status", "said"), [(429, "too often"), (404, "refused")])
async def test_a_refusal_is_not_asked_again(weather, stand_in, clock, status, said):
    await stand_in.told("weather search", fail={"status": status})
    assert said in await error(weather)
    assert clock.pauses == []
    assert len(await stand_in.calls()) == 1


async def test_a_redirect_is_not_followed(weather, stand_in):
    elsewhere = f"{stand_in.url}/forecast"
    await stand_in.told("weather search", fail={"status": 302, "location": elsewhere})
    assert "refused (status 302)" in await error(weather)
    assert await stand_in.calls("forecast") == []


async def test_a_service_that_is_not_there_is_tried_thrice(make, clock):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert "cannot be reached" in await error(make(url))
    assert clock.pauses == list(PAUSES)


async def test_a_service_that_does_not_answer_is_given_up(make, stand_in, monkeypatch, clock):
    monkeypatch.setattr(open_meteo, "READ_SECONDS", 0.05)
    await stand_in.told("weather search", stall_after=0)
    assert "cannot be reached" in await error(make(stand_in.url))
    assert clock.pauses == []


@pytest.mark.parametrize("url", ["http://[", "ftp://127.0.0.1", "nothing", "http://a b/"])
async def test_a_url_that_is_none_is_an_error_as_data(make, url):
    assert "cannot be reached" in await error(make(url))


@asynccontextmanager
async def answering(
    search: bytes | str, forecast: bytes | str = "{}", headers: dict[str, str] | None = None
) -> AsyncIterator[str]:
    """A server with these two answers; its URL."""

    async def answer(request: web.Request) -> web.Response:
        body = search if request.path == "/search" else forecast
        return web.Response(body=body.encode() if isinstance(body, str) else body, headers=headers)

    app = web.Application()
    app.router.add_get("/{_}", answer)
    async with serving(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def places(*results: Any) -> str:
    return json.dumps({"results": list(results)})


BERLIN = {"name": "Berlin", "latitude": 52.5, "longitude": 13.4}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        b"\xff\xfe\x00",
        "[]",
        "null",
        '{"results": {}}',
        "[" * 100_000,
        '{"results": [{"name": "Berlin", "latitude": NaN, "longitude": 1}]}',
    ],
)
async def test_an_answer_that_is_none_is_told_as_data(make, body):
    async with answering(body) as url:
        assert "something else than expected" in await error(make(url))


async def test_places_that_are_none_are_left_out(make):
    strange = [
        None,
        "Berlin",
        {"name": "Berlin"},
        {"name": None, "latitude": 1, "longitude": 1},
        {"name": "Berlin", "latitude": "52", "longitude": 13},
        {"name": "Berlin", "latitude": 91, "longitude": 13},
        {"name": "Berlin", "latitude": 9, "longitude": -181},
        {"name": "Berlin", "latitude": True, "longitude": 1},
    ]
    async with answering(places(*strange)) as url:
        assert "no place called" in await error(make(url))


def hourly(**changed: Any) -> str:
    columns = {"time": [f"2026-11-22T{hour:02}:00" for hour in range(24)]}
    columns |= {name: [1.5] * 24 for name in open_meteo.VARIABLES.values()}
    return json.dumps({"hourly": columns | changed})


async def test_a_figure_that_is_missing_is_none_and_more_hours_are_left_out(make):
    forecast = hourly(
        temperature_2m=[None, "7", *[3] * 30], time=[f"2026-11-22T{h:02}:00" for h in range(32)]
    )
    async with answering(places(BERLIN), forecast) as url:
        answer = await told(make(url), "Berlin")
    assert [e["temperature_2m"] for e in answer["forecast"]] == [None, None, *[3] * 22]
    assert answer["forecast"][1]["date"] == "2026-11-22 01:00"
    assert answer["location"] == "Berlin"


@pytest.mark.parametrize(
    "forecast",
    [
        "{}",
        '{"hourly": []}',
        hourly(time=None),
        hourly(time=["2026-11-22T00:00"] * 23),
        hourly(cloud_cover=[1] * 23),
        hourly(snowfall="none"),
    ],
)
async def test_a_forecast_that_is_none_is_told_as_data(make, forecast):
    async with answering(places(BERLIN), forecast) as url:
        assert "something else than expected" in await error(make(url))


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(make):
    async with answering(b"x" * (RESPONSE_BYTES + 1)) as url:
        assert "too much" in await error(make(url))


async def test_a_compressed_answer_is_not_unpacked(make):
    async with answering(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}) as url:
        assert "something else than expected" in await error(make(url))


async def test_what_the_service_says_to_remember_is_not_sent_again(make):
    cookies: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("cookie"))
        return web.json_response({"results": []}, headers={"Set-Cookie": "visitor=1; Path=/"})

    app = web.Application()
    app.router.add_get("/search", answer)
    async with serving(app, "127.0.0.1", 0) as port:
        weather = make(f"http://127.0.0.1:{port}")
        for name in ("Nowhere", "Elsewhere"):
            await error(weather, name)
    assert cookies == [None, None]


async def test_a_new_event_loop_gets_connections_of_its_own(stand_in, clock):
    weather = OpenMeteo(clock, f"{stand_in.url}/search", f"{stand_in.url}/forecast")

    def in_a_loop_of_its_own(name: str) -> dict[str, Any]:
        return asyncio.run(told(weather, name))

    for name in ("Berlin", "Sydney"):
        assert "forecast" in await asyncio.to_thread(in_a_loop_of_its_own, name)


async def test_no_log_tells_where_somebody_is(weather, stand_in, caplog):
    caplog.set_level(logging.DEBUG)
    await told(weather, "Reykjavik")
    await stand_in.told("weather search", fail={"status": 500})
    await error(weather, "Springfield")
    ours = [r for r in caplog.records if not r.name.startswith(("aiohttp", "asyncio"))]
    assert ours
    text = " ".join(record.getMessage() for record in ours)
    for word in ("Reykjav", "64.14", "Springfield"):
        assert word not in text
