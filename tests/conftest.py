"""What suites share: the running stack, and their order."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from local.processes import delete_behind
from local.stack import EMULATOR_PYTHON
from tests.e2e.stack import Stack, described, make_room, running

ON_THE_STACK = ("e2e", "emulator")
STACK = pytest.StashKey[Stack]()
LOOPBACK = ["127.0.0.1", "::1", "localhost"]

# Read before the tests are, which take from here what they do not say themselves. Hypothesis
# would give each example 200 ms, which a busy machine may make of any, and choose others in each
# run: whether a change lands must not hang on that. Whoever looks for new ones sets EXPLORE.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    **({} if os.environ.get("EXPLORE") else {"derandomize": True, "database": None}),
)
settings.load_profile("any machine")

# A shell ignores Ctrl-C for what it starts in the background, and every process that a test
# starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the stack comes last, and may speak to it."""
    for item in items:
        if needs_stack(item):
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
    items.sort(key=needs_stack)


def needs_stack(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ON_THE_STACK)


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The local stack, started for the first test that asks for it; each worker has its own.

    While you write tests: PARLEY_STACK names the file of a stack that runs already.
    """
    if given := os.environ.get("PARLEY_STACK"):
        found = described(Path(given), Path(given))
        make_room(found)
        yield found
        return
    if not EMULATOR_PYTHON.exists():
        pytest.skip("the emulator is not here; `make test` brings it")
    with running(tmp_path_factory.mktemp("stack")) as started:
        request.config.stash[STACK] = started
        make_room(started)
        yield started
    if not request.session.testsfailed:
        delete_behind(started.home)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test on the stack says where the logs are."""
    report = yield
    stack = item.config.stash.get(STACK, None)
    if report.failed and stack and needs_stack(item):
        report.sections.append(("logs of the local stack", stack.where_logs_are))
    return report


@pytest.fixture(scope="session")
def emulator(request: pytest.FixtureRequest) -> str:
    """The emulator's URL: PARLEY_EMULATOR, or that of the running stack."""
    given = os.environ.get("PARLEY_EMULATOR")
    if given:
        return given
    running_stack: Stack = request.getfixturevalue("stack")
    return running_stack.aws_endpoint
