"""A limit that is met is said, in words that help, by the component and by our own page."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import ui_chat
from tests.browser.component import Component
from tests.browser.conftest import OpenWindow
from tests.browser.llm_client import LlmClient, applied
from tests.browser.ours import Ours
from tests.e2e.stack import Stack

MANIFEST = """\
apiVersion: smarter.sh/v1
kind: LLMClient
metadata:
  name: limited
  description: A client that takes one question a minute.
  version: 0.1.0
spec:
  config:
    deployed: true
  limits:
    sessionTurnsPerMinute: 1
"""
# Two may be taken, where the minute ends between them.
QUESTIONS = ("The first question", "The second question", "The third question")


@pytest.fixture(scope="module")
def limited(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlmClient]:
    with applied(stack, tmp_path_factory.mktemp("limited"), "limited", MANIFEST) as client:
        yield client


def test_our_page_says_it_and_keeps_the_question(
    open_window: OpenWindow, limited: LlmClient
) -> None:
    ours = Ours(open_window()).open(limited.url)
    for asked in QUESTIONS:
        ours.ask(asked)
        answer = ours.said("assistant", f"You asked: “{asked}”", "done")
        expect(ours.notice.locator("visible=true").or_(answer)).to_have_count(1)
        if ours.notice.is_visible():
            break

    expect(ours.notice).to_contain_text(re.compile("minute"))
    expect(ours.composer).to_have_value(asked)
    expect(ours.said("user", asked)).to_have_count(0)


def test_the_component_says_it(
    open_window: OpenWindow, limited: LlmClient, component_origin: str
) -> None:
    address = ui_chat.address(component_origin, limited.url)
    component = Component(open_window(address)).ready()
    refused = component.messages("smarter_error")
    for asked in QUESTIONS:
        component.send(asked)
        answer = component.message("assistant", f"You asked: “{asked}”")
        expect(refused.or_(answer)).to_have_count(1)
        if refused.count():
            break

    expect(refused).to_contain_text(re.compile("minute"))
