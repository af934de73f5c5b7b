"""The chat page as HTTP answers."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from parley.wire.page import FOLDER, page_answer, version

SOCKET = "wss://abc.execute-api.eu-central-1.amazonaws.com/live"
PAGES = (
    "/",
    "/workbench",
    "/workbench/",
    "/workbench/llm-clients/9/prompt/",
    "/workbench/llm-clients/rMTAwMDAwOQx/prompt",
    "/workbench/llm-clients/9/chat/",
)


def policy(
    path: str = "/", ancestors: tuple[str, ...] = (), socket: str = SOCKET
) -> dict[str, str]:
    answer = page_answer(path, socket_url=socket, frame_ancestors=ancestors)
    assert answer is not None
    directives = answer["headers"]["content-security-policy"].split("; ")
    return {name: values for name, _, values in (one.partition(" ") for one in directives)}


class Assets(HTMLParser):
    """What a document loads, and whether it carries code or styles of its own."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.loaded.append(given.get("src") or "")
        if tag == "link":
            self.loaded.append(given["href"] or "")
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_html_that_is_asked_for_again(path: str) -> None:
    answer = page_answer(path, socket_url=SOCKET)

    assert answer is not None
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
    assert answer["headers"]["cache-control"] == "no-cache"
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert answer["headers"]["referrer-policy"] == "no-referrer"
    assert "camera=()" in answer["headers"]["permissions-policy"]


@pytest.mark.parametrize("path", ["/", "/workbench"])
def test_a_page_loads_only_what_is_there_and_stays_what_it_is(path: str) -> None:
    answer = page_answer(path)
    assert answer is not None
    assets = Assets(answer["body"])

    assert not assets.inline
    assert len(assets.loaded) >= 4
    for address in assets.loaded:
        asset = page_answer(address)
        assert asset is not None, address
        assert asset["headers"]["cache-control"] == "public, max-age=31536000, immutable"


def test_every_module_of_a_version_is_below_it_with_its_type() -> None:
    types = {
        "css": "text/css",
        "js": "text/javascript",
        "mjs": "text/javascript",
        "svg": "image/svg+xml",
    }
    for path in FOLDER.rglob("*.*"):
        if path.suffix[1:] not in types:
            continue
        answer = page_answer(f"/page/{version()}/{path.relative_to(FOLDER).as_posix()}")
        assert answer is not None
        assert answer["headers"]["content-type"] == f"{types[path.suffix[1:]]}; charset=utf-8"
        assert answer["body"] == path.read_text()


def test_another_version_gets_what_there_is_and_does_not_keep_it() -> None:
    for address in ("/page/0123456789abcdef/app.js", "/page/app.js"):
        answer = page_answer(address)
        assert answer is not None
        assert answer["headers"]["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/nothing.js",
        "/page/index.html",
        "/page/../wire/page.py",
        f"/page/{version()}/vendor/../app.js",
        f"/page/{version()}/",
        "/workbench/llm-clients/9",
        "/workbench/llm-clients/a.b/prompt/",
        "/workbench/other",
        "/embed.js.map",
    ],
)
def test_what_is_not_there_is_not_answered(path: str) -> None:
    assert page_answer(path) is None


def test_the_policy_allows_what_the_page_needs_and_no_more() -> None:
    assert policy() == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' https: data:",
        "connect-src": "'self' wss://abc.execute-api.eu-central-1.amazonaws.com",
        "frame-ancestors": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "dompurify",
    }


def test_named_origins_may_frame_the_chat_but_not_the_workbench() -> None:
    origins = ("https://shop.example", "http://localhost:3000", "https://*.example.org")

    assert policy("/", origins)["frame-ancestors"] == f"'self' {' '.join(origins)}"
    assert policy("/workbench", origins)["frame-ancestors"] == "'self'"


@pytest.mark.parametrize(
    "hostile",
    [
        "https://a.example; script-src *",
        "*",
        "javascript:alert(1)",
        "https://",
        "https://a b",
        "https://[",
        "",
    ],
)
def test_what_is_no_origin_does_not_get_into_the_policy(hostile: str) -> None:
    assert policy("/", (hostile,))["frame-ancestors"] in {"'self'", "'self' https://a.example"}
    assert policy("/", (hostile,))["script-src"] == "'self'"
    assert policy("/", (), hostile)["connect-src"] == "'self'"


def test_an_etag_that_is_known_saves_the_body() -> None:
    first = page_answer("/")
    assert first is not None
    etag = first["headers"]["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = page_answer("/", if_none_match=known)
        assert again is not None
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"]["etag"] == etag
    other = page_answer("/", if_none_match='"other"')
    assert other is not None
    assert other["statusCode"] == 200


def test_the_embedding_script_may_be_loaded_by_any_site_and_is_kept_for_minutes() -> None:
    answer = page_answer("/embed.js")

    assert answer is not None
    assert answer["headers"]["cross-origin-resource-policy"] == "cross-origin"
    assert answer["headers"]["cache-control"] == "public, max-age=300"
    assert "content-security-policy" not in answer["headers"]


def test_the_layer_carries_the_page(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    subprocess.run(
        [make, "-s", "build-ParleyLayer", f"ARTIFACTS_DIR={tmp_path}", "PARLEY_RUNTIME=none"],
        cwd="layers/parley",
        env={"PATH": "/usr/bin:/bin", "PARLEY_BYTECODE_ONLY": "1"},
        check=True,
    )
    built = {path.name for path in (tmp_path / "python" / "parley" / "page").rglob("*.*")}

    assert {path.name for path in FOLDER.rglob("*.*")} <= built
    assert re.search(r"vendor\.json", " ".join(sorted(built)))
