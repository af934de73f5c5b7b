"""Why a command ends with something else than 0. The table of exit codes is here."""

from collections.abc import Sequence

OK = 0
REFUSED = 1
USAGE = 2
NOT_AUTHENTICATED = 3
NOT_FOUND = 4
UNREACHABLE = 5
INTERRUPTED = 130
READER_LEFT = 141


class CliError(Exception):
    """An end of a command that its user can act on; `code` is the exit code.

    `problems` are what the text sums up, if it does: each is told on a line of its own.
    """

    code = REFUSED
    status = 0  # of the HTTP answer that it stands for
    refusal = ""  # what the API calls it: the `code` in the body of that answer
    parts: tuple[str, ...] = ()  # what the API named one by one; its text has them, too

    def __init__(self, text: str, problems: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


class Refused(CliError):
    """The API refused the call, or the prompt ended abandoned or canceled."""


class Usage(CliError):
    """What was typed makes no sense, in a way that the option parser cannot see."""

    code = USAGE


class NotAuthenticated(CliError):
    """There is no key, or the API does not know it."""

    code = NOT_AUTHENTICATED


class NotFound(CliError):
    """Absent, or not the caller's."""

    code = NOT_FOUND


class Unreachable(CliError):
    """The API, its socket or AWS did not answer."""

    code = UNREACHABLE
