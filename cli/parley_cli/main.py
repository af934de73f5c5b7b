"""The `parley` command: its parts put together."""

import io
import shutil
import sys

import typer

from parley_cli.commands import (
    account,
    accounts,
    chat,
    dlq,
    domains,
    keys,
    manifests,
    models,
    operate,
    prompt,
    prompts,
    sessions,
    threads,
)
from parley_cli.held import keep_interrupts
from parley_cli.helping import NARROW, flowing, plain
from parley_cli.session import ParleyGroup

EPILOG = """
[bold]To begin[/bold]

  parley login --api https://prompts.example.com

  parley prompt "What's a banana?"

  parley prompts list --all

  parley apply -f examples/stackademy.yaml

  parley chat stackademy

[bold]Exit codes[/bold]

  0 done    1 abandoned, canceled or refused    2 usage    3 no or wrong key

  4 not found    5 the API could not be reached    130 Ctrl-C
"""

app = typer.Typer(
    name="parley",
    cls=ParleyGroup,
    help="Durable LLM prompts, and llm_clients to chat with.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
DESCRIBED, ACCOUNT, AWS = "Manifests", "Account", "Operation (uses AWS)"
app.command(epilog=prompt.EPILOG)(prompt.prompt)
app.command(epilog=chat.EPILOG)(chat.chat)
app.add_typer(prompts.app, name="prompts")
app.add_typer(threads.app, name="threads")
for command, epilog in (
    (manifests.apply, manifests.APPLY_EPILOG),
    (manifests.get, manifests.GET_EPILOG),
    (manifests.describe, manifests.DESCRIBE_EPILOG),
    (manifests.delete, manifests.DELETE_EPILOG),
    (manifests.deploy, manifests.DEPLOY_EPILOG),
    (manifests.undeploy, manifests.UNDEPLOY_EPILOG),
    (manifests.example_manifest, manifests.EXAMPLE_EPILOG),
    (manifests.json_schema, manifests.SCHEMA_EPILOG),
):
    app.command(epilog=epilog, rich_help_panel=DESCRIBED)(command)
app.add_typer(sessions.app, name="sessions", rich_help_panel=ACCOUNT)
app.add_typer(models.app, name="models", rich_help_panel=ACCOUNT)
app.add_typer(keys.app, name="keys", rich_help_panel=ACCOUNT)
app.add_typer(dlq.app, name="dlq", rich_help_panel=ACCOUNT)
app.command(epilog=account.STATUS_EPILOG, rich_help_panel=ACCOUNT)(account.status)
app.command(epilog=account.LOGIN_EPILOG, rich_help_panel=ACCOUNT)(account.login)
app.add_typer(accounts.app, name="accounts", rich_help_panel=AWS)
app.add_typer(domains.app, name="domains", rich_help_panel=AWS)
app.command(epilog=operate.BOOTSTRAP_EPILOG, rich_help_panel=AWS)(operate.bootstrap)
app.command(epilog=operate.DOCTOR_EPILOG, rich_help_panel=AWS)(operate.doctor)
flowing(app)


def main() -> None:
    """The entry point. What cannot be encoded is shown as an escape, not as a crash."""
    keep_interrupts()
    if sys.stdin is None:  # closed, as by `<&-`: as good as empty
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    if shutil.get_terminal_size().columns < NARROW:
        plain(app)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="parley")
