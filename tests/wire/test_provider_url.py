"""What may be a provider's URL, by what the HTTP client of the runner makes of it."""

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parley.core.errors import Invalid
from parley.wire.provider_url import checked_base_url, public_host

# What a client may take for a dot, a digit or a letter, and what ends a host or begins one.
STRANGE = "\u3002\uff0e\uff61\uff11\u2460\u017f\u212a\u00ad\u200b%2e@:\\/?#[]. "
hosts = st.lists(
    st.one_of(
        st.sampled_from(["127", "0", "1", "169", "254", "10", "::1", "localhost", "internal"]),
        st.sampled_from(["api", "example", "com", "xn--mller-kva", "2606:4700::1111"]),
        st.sampled_from(list(STRANGE)),
        st.sampled_from(list("..........")),
    ),
    max_size=9,
).map("".join)


def accepted(url: str, *, local_providers: bool = False) -> bool:
    try:
        return checked_base_url(url, local_providers=local_providers) == url
    except Invalid:
        return False


@pytest.mark.parametrize(
    "url",
    [
        "https://127\u30020.0.1:8443/v1",
        "https://169.254\u3002169.254/",
        "https://metadata.google.internal\u3002/",
        "https://localhost\uff61/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://m\u00fcller.de/",
        "https://local\u00adhost.example.com/",
        "https://%31%32%37.0.0.1/",
        "https://127%2e0.0.1/",
        "https://api.example.com%00.local/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:4700::1111%251]/",
        "https://[2606:4700::1111]x/",
        "https://api..example.com/",
        f"https://{'a' * 64}.example.com/",
        "https://api.example.com,local/",
        "https://[v1.x]/",
    ],
)
def test_a_host_is_plain_so_that_no_client_reads_another_one(url: str) -> None:
    assert not accepted(url)
    assert not accepted(url, local_providers=True)


@pytest.mark.parametrize("address", ["::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "5f00::1"])
def test_an_address_that_may_be_translated_into_any_other_is_not_public(address: str) -> None:
    assert not accepted(f"https://[{address}]/")
    assert not accepted(f"https://[{address}]/", local_providers=True)


@pytest.mark.parametrize("host", ["127.0.0.1:9358", "localhost:9358", "m.localhost.", "[::1]:1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_with_local_providers_loopback_is_taken(scheme: str, host: str) -> None:
    assert accepted(f"{scheme}://{host}/v1", local_providers=True)
    assert not accepted(f"{scheme}://{host}/v1")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "http://8.8.8.8/v1",
        "https://10.0.0.1/v1",
        "http://192.168.1.2/v1",
        "http://169.254.169.254/latest",
        "https://[fd00:ec2::254]/latest",
        "https://metadata.google.internal/",
        "http://0.0.0.0/v1",
        "https://localhost.internal/v1",
        "ftp://127.0.0.1/v1",
    ],
)
def test_with_local_providers_nothing_else_is(url: str) -> None:
    assert not accepted(url, local_providers=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "https://API.Example.com./v1",
        "https://xn--mller-kva.de:8443/v1",
        "https://my_models.example.com/b%C3%BCcher/\u00fc",
        "https://8.8.8.8:443",
        "https://[2606:4700::1111]:443/v1",
        "https://api.example.com:/v1",
    ],
)
def test_a_plain_public_host_is_taken(url: str) -> None:
    assert accepted(url)
    assert httpx2.URL(url).host


def test_a_host_that_is_not_plain_is_told_how_to_be_written() -> None:
    with pytest.raises(Invalid, match=r"in plain ASCII.*xn--"):
        checked_base_url("https://m\u00fcller.de/v1", local_providers=False)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(hosts, st.sampled_from(["", ":", ":8443", "/v1", "?x", "@x", "\\@10.0.0.1"]))
@example("127\u30020.0.1", "")
@example("metadata.google.internal\u3002", "")
def test_whatever_is_taken_is_public_for_the_client_that_calls_it(host: str, rest: str) -> None:
    url = f"https://{host}{rest}"
    if not accepted(url):
        return
    try:
        asked = httpx2.URL(url).raw_host.decode()
    except httpx2.InvalidURL:
        return
    assert asked in url.lower(), "it is called as it is written"
    assert public_host(asked.rstrip("."))
