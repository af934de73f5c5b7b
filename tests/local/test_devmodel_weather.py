"""The stand-in for Open-Meteo, as the tests of the weather rely on it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from local.devmodel import weather
from local.devmodel.server import application, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NOON = 1_764_158_400 + 1800


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serving(application("sk-dev"), "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def get(http: aiohttp.ClientSession, path: str, **query: str) -> tuple[int, dict[str, Any]]:
    async with http.get(f"/weather/v1/{path}", params=query) as response:
        return response.status, await response.json()


async def test_it_needs_no_key_and_says_that_it_is_a_stand_in(http):
    status, found = await get(http, "search", name="berlin")
    assert status == 200
    assert "stand-in" in found["stand_in"]
    assert [place["country"] for place in found["results"]] == ["Germany"]


async def test_it_finds_names_only_the_largest_place_first(http):
    _, found = await get(http, "search", name="Paris")
    assert [place["country_code"] for place in found["results"]] == ["FR", "US"]
    _, found = await get(http, "search", name="Paris", count="1")
    assert len(found["results"]) == 1
    for unknown in ("Paris, Texas", "Atlantis", "P", "a", ""):
        assert "results" not in (await get(http, "search", name=unknown))[1]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("search", {}),
        ("search", {"name": "Paris", "count": "many"}),
        ("forecast", {}),
        ("forecast", {"latitude": "x", "longitude": "1"}),
        ("forecast", {"latitude": "1", "longitude": "1", "hourly": "joy"}),
        (
            "forecast",
            {"latitude": "1", "longitude": "1", "hourly": "snowfall", "wind_speed_unit": "c"},
        ),
    ],
)
async def test_it_refuses_as_the_service_does(http, path, query):
    status, answer = await get(http, path, **query)
    assert status == 400
    assert answer["error"] is True
    assert answer["reason"]


def test_the_weather_is_the_same_every_day_at_the_hour_of_the_place():
    query = {"latitude": "52.52", "longitude": "13.41", "hourly": "temperature_2m,precipitation"}
    local = query | {"timezone": "auto"}
    first = weather.forecast(local, NOON)
    assert first["hourly"]["time"][:2] == ["2025-11-26T13:00", "2025-11-26T14:00"]
    assert weather.forecast(query, NOON)["hourly"]["time"][0] == "2025-11-26T12:00"
    assert len(first["hourly"]["time"]) == 24
    later = weather.forecast(local, NOON + 86_400)
    assert later["hourly"]["temperature_2m"] == first["hourly"]["temperature_2m"]
    assert later["hourly"]["time"] != first["hourly"]["time"]
    assert any(first["hourly"]["precipitation"])


async def test_it_fails_when_told_and_its_calls_are_logged(http):
    rule = {"match": "weather search Berlin", "fail": {"status": 500, "count": 1}}
    async with http.post("/_control", json=rule) as response:
        assert response.status == 200
    assert (await get(http, "search", name="Paris"))[0] == 200
    assert (await get(http, "search", name="Berlin"))[0] == 500
    assert (await get(http, "search", name="Berlin"))[0] == 200
    async with http.get("/_control", params={"match": "weather search Berlin"}) as response:
        calls = (await response.json())["calls"]
    assert [(call["state"], call["status"]) for call in calls] == [
        ("failed", 500),
        ("completed", 200),
    ]
