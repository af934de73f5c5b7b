"""What `make run` prints works as it is printed, whatever the port."""

from local.deployment import LOCAL
from local.options import read_options
from local.report import summary

STACK = {"api": "http://localhost:1", "websocket": "ws://localhost:1/ws", "account": "3"}
STACK |= {"user_key": "user's", "admin_key": "admin's"}


def test_the_commands_name_a_stack_that_they_would_not_find_by_themselves() -> None:
    assert "PARLEY_STACK" not in summary(STACK, read_options({}))
    other = summary(STACK, read_options({"PORT": "9999"}))
    assert f"\n    export PARLEY_STACK={LOCAL}/stack-9999.json\n    .venv/bin/parley chat" in other
    named = summary(STACK, read_options({"STACK_FILE": "/a b/c.json"}))
    assert "export PARLEY_STACK='/a b/c.json'" in named
