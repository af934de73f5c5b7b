"""`parley apply`, `get`, `describe`, `delete`, `deploy` and the like: what an account describes."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import yaml

from parley_cli.api import Json
from parley_cli.errors import CliError, NotAuthenticated, Refused, Unreachable, Usage
from parley_cli.manifests import Source, is_kind, joined, problems_of, read_sources
from parley_cli.output import Output, age
from parley_cli.session import After, JsonOption, Limit, api_of, confirm_deletion, output_of

KINDS = "LLMClient, Plugin, ApiKey, Secret, Provider, Model, User, Account"
Kind = Annotated[
    str, typer.Argument(help=f"One of {KINDS}; any case, one or many.", metavar="KIND")
]
Name = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]
Client = Annotated[
    str,
    typer.Argument(
        help="The llm_client's name; its kind may stand before it.", metavar="KIND|NAME"
    ),
]
BehindKind = Annotated[str, typer.Argument(hidden=True, metavar="NAME")]

# The API names so many, and says how many more there are.
UNNAMED = re.compile(r"and ([0-9]+) more")
NO_DOMAIN = "This deployment has no domain for llm_clients: only the sandbox answers."

APPLY_EPILOG = """
[bold]Examples[/bold]

  parley apply -f examples/stackademy.yaml

  parley apply -f examples/ --dry-run

  parley apply -f plugins.yaml -f client.yaml

  parley describe LLMClient stackademy | sed s/Stan/Eva/ | parley apply -f -

A file may have several documents, a directory is its .yaml, .yml and .json files. All are
looked at before anything is written. Applying the same again changes nothing. The secret of
a new ApiKey is shown this once.
"""


def apply(
    ctx: typer.Context,
    *,
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Manifests: a file, a directory, or `-` for stdin. May be repeated.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Create or change what manifests describe. Needs an admin key."""
    output = output_of(ctx)
    if not file and not more:
        raise Usage("say what to apply: parley apply -f FILE, a directory, or `-` for stdin")
    if more or not file:
        raise Usage(_how_to_name(more or [], file or []))
    sources = read_sources(file)
    if sources.left_out:
        output.note(f"(left out, there is no `kind` in it: {', '.join(sources.left_out)})")
    try:
        answer = api_of(ctx).apply(joined(sources.found), dry_run=dry_run)
    except Refused as error:
        raise _wrong(error, sources.found) from None
    data = answer.get("data") or {}
    if json_:
        output.result(data)
        return
    for report in data.get("reports") or []:
        _report(output, report)
    if dry_run:
        output.note("(a dry run: nothing was written)")


def _how_to_name(more: Sequence[str], named: Sequence[str]) -> str:
    """What was probably meant where files stand without -f, as after `-f *.yaml`."""
    words = " ".join(f"-f {shlex.quote(one)}" for one in [*named, *more][:3])
    return f"each file needs its own -f: parley apply {words}, or -f DIRECTORY for all of one"


def _wrong(error: CliError, sources: Sequence[Source]) -> CliError:
    """What the API found wrong with the manifests, a problem to a line, and how many they are."""
    if error.status != 400:
        return error
    # An API that does not name them one by one has a line for each in its text.
    problems = problems_of(error.parts or str(error).splitlines(), sources)
    if len(problems) == 1:
        return Usage(problems[0])
    count = str(len(problems))
    if unnamed := UNNAMED.fullmatch(problems[-1]):
        problems.pop()
        count = f"{len(problems) + int(unnamed[1])} problems, of which {len(problems)} are shown"
    else:
        count += " problems"
    return Usage(f"{count}; nothing was written", problems)


def _report(output: Output, report: Json) -> None:
    changed = ", ".join(report.get("changed") or [])
    told = f"{report.get('kind')} {report.get('name')} {report.get('outcome')}"
    output.say(told + (f" ({changed})" if changed else ""))
    if not_kept := ", ".join(report.get("notKept") or []):
        output.note(f"  this kind does not keep {not_kept}", "yellow")
    for note in report.get("notes") or []:
        output.note(f"  {note}", "yellow")
    if report.get("deployed"):
        output.note(f"  {report.get('url') or NO_DOMAIN}")
    elif "deployed" in report:
        output.note(f"  not deployed: parley deploy {report.get('name')}")
    if secret := report.get("secret"):
        output.say(f"  key  {secret}", "bold")
        output.note("  The key is not shown again: only its hash is stored.", "yellow")


GET_EPILOG = (
    "[bold]Examples[/bold]\n\n  parley get llmclients\n\n  parley get Plugin catalog --json"
)


def get(
    ctx: typer.Context,
    *,
    kind: Kind,
    name: Annotated[str, typer.Argument(help="This one only.", metavar="NAME")] = "",
    limit: Limit = 50,
    after: After = "",
    json_: JsonOption = False,
) -> None:
    """List what there is of a kind."""
    output = output_of(ctx)
    given = {"name": name, "after": after, "limit": str(limit)}
    params = {option: value for option, value in given.items() if value}
    data = api_of(ctx).of_kind("get", kind, params).get("data") or {}
    if json_:
        output.result(data)
        return
    found = data.get("data") or {}
    items = found.get("items") or []
    if not items:
        output.note(f"no {data.get('kind') or kind} yet")
        return
    _table(output, found.get("titles") or [], items)
    absent = [str(item.get("name")) for item in items if item.get("deployed") is False]
    if absent:
        output.note(f"not deployed: {', '.join(absent)} (parley deploy NAME)")
    if more := (data.get("metadata") or {}).get("after"):
        output.note(f"more: --after {more}")


def _table(output: Output, titles: list[Json], items: list[Json]) -> None:
    """The columns that say something, the description as the last: only that is ever cut."""
    shown = [
        title
        for title in titles
        if title["name"] != "hashedId"
        and any(item.get(title["name"]) not in (None, "") for item in items)
    ]
    shown.sort(key=lambda title: title["name"] == "description")
    rows = [[_cell(item.get(title["name"]), title) for title in shown] for item in items]
    output.table([_heading(str(title["name"])) for title in shown], rows)


def _heading(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).upper()


def _cell(value: Any, title: Json) -> str:
    if title.get("type") == "boolean":
        return "yes" if value else "no"
    if title.get("type") == "datetime":
        return age(value)
    return "" if value is None else str(value)


DESCRIBE_EPILOG = """
[bold]Examples[/bold]

  parley describe LLMClient stackademy > stackademy.yaml

  parley describe llmclient stackademy --json | jq -r .status.url

What is printed can be applied again; `status` is then passed over. Secrets are masked, and
a mask leaves the stored one as it is.
"""


def describe(
    ctx: typer.Context,
    kind: Kind,
    name: Annotated[
        str, typer.Argument(help="Its name; the Account needs none.", metavar="NAME")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """Show the manifest of something, with its status."""
    output = output_of(ctx)
    if not name and not is_kind(kind):
        raise Usage(f"say of which kind: parley describe KIND {kind}; the kinds are {KINDS}")
    if not name and kind.lower() not in {"account", "accounts"}:
        raise Usage(f"say which one: parley describe {kind} NAME; `parley get {kind}` lists them")
    manifest = api_of(ctx).of_kind("describe", kind, {"name": name}).get("data") or {}
    if json_:
        output.result(manifest)
    else:
        output.write(as_yaml(manifest))


class _Dumper(yaml.SafeDumper):
    """YAML that both its versions read alike, with texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
# A text such as 1e3 or 08 is a number to a reader of YAML 1.2, so it has to be in quotes.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def as_yaml(manifest: Json) -> str:
    """A manifest as people write it."""
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


DELETE_EPILOG = "[bold]Example[/bold]\n\n  parley delete LLMClient stackademy --yes"


def delete(
    ctx: typer.Context,
    *,
    kind: Kind,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Delete something; an ApiKey is revoked. Refused while something else names it."""
    output = output_of(ctx)
    api = api_of(ctx)
    confirm_deletion(output, f"Delete {kind} {name} for good?", yes=yes)
    answer = api.of_kind("delete", kind, {"name": name})
    if json_:
        output.result(answer.get("data") or {})
    output.say(str(answer.get("message") or "deleted"))


DEPLOY_EPILOG = (
    "[bold]Examples[/bold]\n\n  parley deploy stackademy\n\n  parley deploy LLMClient stackademy"
)
UNDEPLOY_EPILOG = "[bold]Example[/bold]\n\n  parley undeploy stackademy"


def _deployed(ctx: typer.Context, verb: str, first: str, second: str) -> Json:
    """Deploy or undeploy what is named by a name, or by a kind and a name.

    Only an LLMClient can be, which may be called Chatbot, too; that is for the API to say.
    """
    kind, name = (first, second) if second else ("LLMClient", first)
    return api_of(ctx).of_kind(verb, kind, {"name": name})


def deploy(
    ctx: typer.Context, name: Client, second: BehindKind = "", json_: JsonOption = False
) -> None:
    """Let an llm_client's own host answer, and show its addresses."""
    output = output_of(ctx)
    answer = _deployed(ctx, "deploy", name, second)
    data = answer.get("data") or {}
    if json_:
        output.result(data)
        return
    output.say(str(answer.get("message") or "deployed"))
    status = data.get("status") or {}
    named = str(status.get("customUrl") or status.get("defaultUrl") or "")
    output.facts(
        [
            ("page", named or str(status.get("urlChatapp") or "")),
            ("chat", f"{named}chat/" if named else ""),
            ("sandbox", str(status.get("urlLLMClient") or "")),
        ]
    )
    if not named:
        output.note(NO_DOMAIN)


def undeploy(
    ctx: typer.Context, name: Client, second: BehindKind = "", json_: JsonOption = False
) -> None:
    """Let an llm_client's own host answer no more. The sandbox still does, with a key."""
    output = output_of(ctx)
    answer = _deployed(ctx, "undeploy", name, second)
    if json_:
        output.result(answer.get("data") or {})
    output.say(str(answer.get("message") or "undeployed"))


EXAMPLES_ELSEWHERE = (
    "Examples come from the API, which knows what it takes. Without one: docs/manifests.md in "
    "Parley's repository has an example of each kind."
)
FIELDS_ELSEWHERE = (
    "Schemas come from the API, which knows what it takes. Without one: docs/manifests.md in "
    "Parley's repository has a table of the fields of each kind."
)


def _of_the_api(ctx: typer.Context, verb: str, kind: str, elsewhere: str) -> Json:
    """What the API has for whoever writes manifests; says where else it is without an API."""
    try:
        found: Json = api_of(ctx).of_kind(verb, kind).get("data") or {}
    except (NotAuthenticated, Unreachable) as error:
        raise type(error)(f"{error}\n{elsewhere}") from None
    return found


EXAMPLE_EPILOG = (
    "[bold]Example[/bold]\n\n  parley example-manifest LLMClient > mine.yaml\n\n"
    "Change it, then `parley apply -f mine.yaml`."
)


def example_manifest(ctx: typer.Context, kind: Kind, json_: JsonOption = False) -> None:
    """Print a manifest of a kind to begin with."""
    output = output_of(ctx)
    data = _of_the_api(ctx, "example-manifest", kind, EXAMPLES_ELSEWHERE)
    if json_:
        output.result(data.get("manifest") or {})
    else:
        output.write(f"{str(data.get('yaml') or '').rstrip()}\n")


SCHEMA_EPILOG = "[bold]Example[/bold]\n\n  parley json-schema LLMClient > llm-client.schema.json"


def json_schema(
    ctx: typer.Context,
    kind: Kind,
    json_: JsonOption = False,  # noqa: ARG001 - it is JSON in any case
) -> None:
    """Print the JSON schema of a kind's manifests, for editors that check while one writes."""
    data = _of_the_api(ctx, "json-schema", kind, FIELDS_ELSEWHERE)
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
