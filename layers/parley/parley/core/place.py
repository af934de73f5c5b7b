"""Which of the places with one name is meant by "San Francisco, CA"."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A place as a gazetteer knows it; `admin1` is its state or province."""

    name: str
    latitude: float
    longitude: float
    country: str = ""
    country_code: str = ""
    admin1: str = ""
    admin2: str = ""
    admin3: str = ""
    admin4: str = ""


def parts_of(location: str) -> tuple[str, tuple[str, ...]]:
    """The name, for a gazetteer that knows names only, and what follows it after commas."""
    name, *qualifiers = (part.strip() for part in location.split(","))
    return name, tuple(filter(None, qualifiers))


def best(places: Sequence[Place], name: str, qualifiers: Sequence[str]) -> Place | None:
    """The place that is meant, the first of those that are as good.

    One that none of the qualifiers says anything of is not meant: None if there is no other.
    """
    wanted = [folded for qualifier in qualifiers if (folded := _folded(qualifier))]
    if wanted:
        places = [place for place in places if _said_of(place, wanted)]
    folded = _folded(name)
    # max() answers the first of several: the gazetteer ranks by size.
    return max(
        places,
        key=lambda place: (_said_of(place, wanted), _folded(place.name) == folded),
        default=None,
    )


def in_words(place: Place) -> str:
    """As a person would name it."""
    return ", ".join(filter(None, (place.name, place.admin1, place.country)))


def _said_of(place: Place, wanted: Sequence[str]) -> int:
    """How many of the qualifiers say where the place is."""
    country = place.country_code.upper()
    names = (place.country, country, place.admin1, place.admin2, place.admin3, place.admin4)
    known = {_folded(name) for name in names} - {""}
    states = STATES.get(country, {})
    return sum(
        word in known or _folded(states.get(word, "")) in known or COUNTRIES.get(word) == country
        for word in wanted
    )


def _folded(text: str) -> str:
    """For comparing: without case, accents, dots and spaces."""
    # Decomposed, an accent is a character of its own that belongs to no word.
    return NOT_WORD.sub("", unicodedata.normalize("NFKD", text.casefold()))


# What people write for countries besides their names and codes.
COUNTRIES: Mapping[str, str] = {
    "america": "US",
    "britain": "GB",
    "czechrepublic": "CZ",
    "greatbritain": "GB",
    "holland": "NL",
    "korea": "KR",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "unitedstatesofamerica": "US",
    "usa": "US",
}


def _pairs(text: str) -> Mapping[str, str]:
    return {code.lower(): name for code, name in (p.split(" ", 1) for p in text.split(", "))}


STATES: Mapping[str, Mapping[str, str]] = {
    "US": _pairs(
        "AL Alabama, AK Alaska, AZ Arizona, AR Arkansas, CA California, CO Colorado, "
        "CT Connecticut, DE Delaware, DC District of Columbia, FL Florida, GA Georgia, "
        "HI Hawaii, ID Idaho, IL Illinois, IN Indiana, IA Iowa, KS Kansas, KY Kentucky, "
        "LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota, "
        "MS Mississippi, MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, "
        "NJ New Jersey, NM New Mexico, NY New York, NC North Carolina, ND North Dakota, "
        "OH Ohio, OK Oklahoma, OR Oregon, PA Pennsylvania, RI Rhode Island, SC South Carolina, "
        "SD South Dakota, TN Tennessee, TX Texas, UT Utah, VT Vermont, VA Virginia, "
        "WA Washington, WV West Virginia, WI Wisconsin, WY Wyoming"
    ),
    "CA": _pairs(
        "AB Alberta, BC British Columbia, MB Manitoba, NB New Brunswick, "
        "NL Newfoundland and Labrador, NS Nova Scotia, NT Northwest Territories, NU Nunavut, "
        "ON Ontario, PE Prince Edward Island, QC Quebec, SK Saskatchewan, YT Yukon"
    ),
    "AU": _pairs(
        "ACT Australian Capital Territory, NSW New South Wales, NT Northern Territory, "
        "QLD Queensland, SA South Australia, TAS Tasmania, VIC Victoria, WA Western Australia"
    ),
}
