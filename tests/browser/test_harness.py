"""A window notices what goes wrong in it: without that, the other tests here prove little."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import OpenWindow
from tests.browser.site import serving

TROUBLES = {
    "console: broken": "console.error('broken')",
    "exception: .*gone": "setTimeout(() => { throw new Error('gone') })",
    "console: Failed to load resource.*404": "fetch('/nothing')",
    "request: GET http://localhost:1/: net::ERR": "fetch('http://localhost:1/').catch(() => {})",
    "Content-Security-Policy: img-src": "new Image().src = 'data:image/png;base64,AA=='",
}
POLICY = '<meta http-equiv="Content-Security-Policy" content="img-src \'self\'">'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    icon = '<link rel="icon" href="data:,">'
    (tmp_path / "index.html").write_text(f"<!doctype html>{icon}<p>Nothing happens.</p>")
    for number, script in enumerate(TROUBLES.values()):
        policy = POLICY if "Image" in script else ""
        page = f"<!doctype html>{policy}{icon}<script>{script}</script>"
        (tmp_path / f"{number}.html").write_text(page)
    with serving(tmp_path) as port:
        yield f"http://localhost:{port}"


@pytest.mark.parametrize(("number", "trouble"), [*enumerate(TROUBLES)])
def test_trouble_is_noticed(open_window: OpenWindow, site: str, number: int, trouble: str) -> None:
    window = open_window()
    window.page.goto(f"{site}/{number}.html")

    window.until(lambda: window.troubled_by(trouble), trouble)

    assert window.troubles
    window.expect_trouble("")
    assert not window.troubles


def test_a_quiet_page_is_photographed_and_troubles_nobody(
    open_window: OpenWindow, site: str
) -> None:
    window = open_window(f"{site}/")

    picture = window.picture("quiet")

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert window.troubles == []
