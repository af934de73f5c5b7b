"""The date calculator, by examples and by what holds for all dates."""

import json
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.core.functions import date_calculator
from parley.core.functions.dates import DATES, DAYS, FORMATS, OPERATIONS

CI = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def calculate(operation, dates, **more):
    (answer,) = date_calculator({"operation": operation, "dates": dates} | more)
    return answer


def test_a_difference_is_told_in_days_weeks_months_and_years():
    assert calculate("difference", ["2024-01-01", "2024-12-31"]) == {
        "difference_days": 365,
        "difference_years": 365 / 365.25,
        "difference_months": 365 / 30.44,
        "difference_weeks": 365 / 7,
    }


def test_a_difference_to_an_earlier_date_is_negative():
    assert calculate("difference", ["2024-03-01", "2024-02-28"])["difference_days"] == -2


@pytest.mark.parametrize(
    ("operation", "dates", "more", "expected"),
    [
        ("oldest", ["2024-03-01", "1999-12-31", "2000-01-01"], {}, {"oldest": "1999-12-31"}),
        ("newest", ["2024-03-01", "1999-12-31"], {}, {"newest": "2024-03-01"}),
        ("newest", ["2024-03-01"], {}, {"newest": "2024-03-01"}),
        ("convert", ["2026-03-31"], {}, {"converted": "2026-03-31"}),
        ("convert", ["2026-03-31"], {"date_format": "US"}, {"converted": "03/31/2026"}),
        ("convert", ["2026-03-31"], {"date_format": "EU"}, {"converted": "31/03/2026"}),
        ("convert", ["03/31/2026"], {"date_format": "ISO"}, {"converted": "2026-03-31"}),
        ("convert", ["31/03/2026"], {"date_format": "US"}, {"converted": "03/31/2026"}),
        ("convert", ["0044-03-15"], {"date_format": "EU"}, {"converted": "15/03/0044"}),
        ("add", ["2024-02-28"], {"days": 2}, {"result": "2024-03-01"}),
        ("add", ["2024-02-28"], {"days": 2.0}, {"result": "2024-03-01"}),
        ("add", ["2024-02-28"], {"days": -1}, {"result": "2024-02-27"}),
        ("subtract", ["2024-03-01"], {"days": 1}, {"result": "2024-02-29"}),
        ("subtract", ["03/04/2026"], {"days": 1, "date_format": "US"}, {"result": "2026-03-03"}),
        ("subtract", ["03/04/2026"], {"days": 1, "date_format": "EU"}, {"result": "2026-04-02"}),
        ("oldest", [" 2024-03-01T23:59:59Z ", "20240302"], {}, {"oldest": "2024-03-01"}),
        ("oldest", ["2024-03-01"], {"date_format": None}, {"oldest": "2024-03-01"}),
        ("oldest", ["04/04/2024"], {}, {"oldest": "2024-04-04"}),
    ],
)
def test_an_operation_has_its_result(operation, dates, more, expected):
    assert calculate(operation, dates, **more) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "operation must be one of"),
        ({"operation": "sum", "dates": ["2024-01-01"]}, "operation must be one of"),
        ({"operation": ["add"], "dates": ["2024-01-01"]}, "operation must be one of"),
        ({"operation": "oldest"}, "dates must be a list"),
        ({"operation": "oldest", "dates": "2024-01-01"}, "dates must be a list"),
        ({"operation": "oldest", "dates": []}, "dates must be a list"),
        ({"operation": "oldest", "dates": ["2024-01-01"] * (DATES + 1)}, "dates must be a list"),
        ({"operation": "oldest", "dates": [20240101]}, "not a value of the type int"),
        ({"operation": "oldest", "dates": ["tomorrow"]}, "not 'tomorrow'"),
        ({"operation": "oldest", "dates": ["2" * 5000]}, "YYYY-MM-DD"),
        ({"operation": "oldest", "dates": ["2023-02-29"]}, "YYYY-MM-DD"),
        ({"operation": "oldest", "dates": ["03/04/2024"]}, "two ways"),
        ({"operation": "oldest", "dates": ["31/04/2024"]}, "is no date"),
        ({"operation": "oldest", "dates": ["31/03/2024"], "date_format": "US"}, "is no date"),
        (
            {"operation": "convert", "dates": ["03/04/2024"], "date_format": "US"},
            "two ways",
        ),
        ({"operation": "oldest", "dates": ["2024-01-01"], "date_format": "UK"}, "ISO, US, EU"),
        ({"operation": "oldest", "dates": ["2024-01-01"], "date_format": ["US"]}, "ISO, US, EU"),
        ({"operation": "difference", "dates": ["2024-01-01"]}, "exactly 2"),
        ({"operation": "difference", "dates": ["2024-01-01"] * 3}, "exactly 2"),
        ({"operation": "convert", "dates": ["2024-01-01"] * 2}, "exactly 1"),
        ({"operation": "add", "dates": ["2024-01-01"] * 2, "days": 1}, "exactly 1"),
        ({"operation": "add", "dates": ["2024-01-01"]}, "days must be"),
        ({"operation": "add", "dates": ["2024-01-01"], "days": "1"}, "days must be"),
        ({"operation": "add", "dates": ["2024-01-01"], "days": True}, "days must be"),
        ({"operation": "add", "dates": ["2024-01-01"], "days": 1.5}, "days must be"),
        ({"operation": "add", "dates": ["2024-01-01"], "days": float("inf")}, "days must be"),
        ({"operation": "add", "dates": ["2024-01-01"], "days": DAYS + 1}, "days must be"),
        ({"operation": "add", "dates": ["2024-01-01"], "days": DAYS}, "years 1 to 9999"),
        ({"operation": "subtract", "dates": ["0001-01-01"], "days": 1}, "years 1 to 9999"),
    ],
)
def test_what_cannot_be_calculated_is_told_as_data(arguments, said):
    (answer,) = date_calculator(arguments)
    assert list(answer) == ["error"]
    assert said in answer["error"]


DAY = st.dates()


@CI
@given(DAY, st.integers(-DAYS, DAYS))
def test_what_was_added_can_be_subtracted(day, days):
    added = calculate("add", [day.isoformat()], days=days)
    if "error" in added:
        assert not date.min.toordinal() <= day.toordinal() + days <= date.max.toordinal()
        return
    assert date.fromisoformat(added["result"]) == day + timedelta(days=days)
    assert calculate("subtract", [added["result"]], days=days) == {"result": day.isoformat()}
    assert calculate("difference", [day.isoformat(), added["result"]])["difference_days"] == days


@CI
@given(DAY, st.sampled_from(sorted(FORMATS)))
def test_what_was_converted_is_read_again_in_its_format(day, format_):
    text = calculate("convert", [day.isoformat()], date_format=format_)["converted"]
    assert calculate("oldest", [text], date_format=format_) == {"oldest": day.isoformat()}


@CI
@given(st.lists(DAY, min_size=1, max_size=20))
def test_oldest_and_newest_are_the_ends(days):
    texts = [day.isoformat() for day in days]
    assert calculate("oldest", texts)["oldest"] == min(texts)
    assert calculate("newest", texts)["newest"] == max(texts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@CI
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "operation": JSON | st.sampled_from(sorted(OPERATIONS)),
            "dates": JSON | st.lists(st.text() | DAY.map(str), max_size=3),
            "date_format": JSON | st.sampled_from(FORMATS),
            "days": JSON,
        },
    )
)
def test_whatever_is_sent_gives_one_small_answer(arguments):
    answer = date_calculator(arguments)
    assert len(answer) == 1
    assert len(json.dumps(answer)) < 1000
