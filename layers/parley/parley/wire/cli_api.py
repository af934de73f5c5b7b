"""The command line's calls: manifests in, manifests out.

What reads manifests (YAML, a model per kind) is imported by the first call that needs it,
so that no chat waits for it.
"""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query as QueryParam

from parley.core.errors import Conflict, Invalid, NotFound
from parley.core.llm_client import client_of
from parley.core.manifest import API_VERSION, Manifest, ManifestKind, kind_named
from parley.usecases.manifests import Report
from parley.wire.errors import NotServed
from parley.wire.fields import PathId
from parley.wire.http_calls import Call, Endpoint
from parley.wire.llm_clients_api import DEFAULT_LIMIT, After, Answer, Limit, answer, status_of
from parley.wire.manifests.shown import row, titles, whole
from parley.wire.public import VERSION

Json = dict[str, Any]
COUNT_CAP = 1000

Name = Annotated[str | None, QueryParam(max_length=256, description="Which one.")]
DryRun = Annotated[bool, QueryParam(description="Look at all of it and write nothing.")]
CamelDryRun = Annotated[bool, QueryParam(alias="dryRun", description="The same as dry_run.")]
DashedDryRun = Annotated[bool, QueryParam(alias="dry-run", description="The same as dry_run.")]
OF_APPLY = frozenset({"dry_run", "dryRun", "dry-run"})


async def apply_manifests(
    call: Call,
    dry_run: DryRun = False,
    camel_dry_run: CamelDryRun = False,
    dashed_dry_run: DashedDryRun = False,
) -> Answer:
    """Create or change what the body describes: YAML, also of several documents, or JSON: an
    object, an array, or {"manifests": [...]}. All is looked at before anything is written.
    Other query parameters are refused: a misspelt dry_run must not write.
    """
    call.principal.require_admin()
    if not OF_APPLY.issuperset(call.request.query):
        raise Invalid("apply has one query parameter, dry_run, also spelt dryRun or dry-run")
    dry_run = dry_run or camel_dry_run or dashed_dry_run
    from parley.wire.manifests.parsing import parsed, place  # noqa: PLC0415

    manifests = parsed(call.request.text(), local_providers=call.api.local_providers)
    several = len(manifests) > 1
    places = [place(n, one.kind, one.name) if several else "" for n, one in enumerate(manifests, 1)]
    reports = await call.api.manifests.apply(call.principal, manifests, places, dry_run=dry_run)
    shown = [_reported(report) | await _place(call, report, dry_run=dry_run) for report in reports]
    data = {"reports": shown, "dryRun": dry_run}
    kinds = {one.kind.value for one in manifests}
    thing = kinds.pop() if len(kinds) == 1 else "Manifest"
    return answer("apply", thing, data, _counted(reports, dry_run=dry_run))


async def _place(call: Call, report: Report, *, dry_run: bool) -> Json:
    """Where an applied LLMClient is: `url` is of its own host, null while it has none."""
    if report.kind is not ManifestKind.LLM_CLIENT or dry_run:
        return {}
    status = _status(call, await _described(call, report.kind, report.name))
    deployed = status["deployed"]
    url = status["customUrl"] or status["defaultUrl"] if deployed else None
    return {"deployed": deployed, "url": url}


def _reported(report: Report) -> Json:
    shown: Json = {"kind": report.kind.value, "name": report.name, "outcome": report.outcome}
    if report.changed:
        shown["changed"] = list(report.changed)
    if report.not_kept:
        shown["notKept"] = list(report.not_kept)
    if report.notes:
        shown["notes"] = list(report.notes)
    if report.secret:
        shown["secret"] = report.secret
    return shown


def _counted(reports: list[Report], *, dry_run: bool) -> str:
    outcomes = [report.outcome for report in reports]
    words = [
        f"{outcomes.count(outcome)} {outcome}"
        for outcome in ("created", "changed", "unchanged")
        if outcome in outcomes
    ]
    return ", ".join(words) + ("; nothing was written" if dry_run else "")


async def get_manifests(
    call: Call, kind: PathId, name: Name = None, limit: Limit = None, after: After = None
) -> Answer:
    """List what there is of a kind, or the one with a name."""
    meant = kind_named(kind)
    if name:
        found, next_ = [await _described(call, meant, name)], ""
    else:
        page = await call.api.manifests.list(
            call.principal, meant, limit or DEFAULT_LIMIT, after or ""
        )
        found, next_ = list(page.items), page.after
    items = [row(one, _status(call, one)) for one in found]
    given = {"name": name, "limit": limit, "after": after}
    data = {
        "apiVersion": API_VERSION,
        "kind": meant.value,
        "metadata": {"count": len(items), "after": next_},
        "kwargs": {option: value for option, value in given.items() if value is not None},
        "data": {"titles": titles(meant), "items": items},
    }
    return answer("get", meant.value, data)


async def describe_manifest(call: Call, kind: PathId, name: Name = None) -> Answer:
    """The manifest of one of a kind, as it can be applied again, with its status."""
    meant = kind_named(kind)
    found = await _described(call, meant, name or "")
    return answer("describe", meant.value, whole(found, _status(call, found)))


async def delete_manifest(call: Call, kind: PathId, name: Name = None) -> Answer:
    """Delete one of a kind. An ApiKey is revoked. What others name is refused."""
    meant = kind_named(kind)
    found = await call.api.manifests.delete(call.principal, meant, _plain(meant, name or ""))
    text = f"{meant} {found.name} was deleted"
    return answer("delete", meant.value, {"kind": meant.value, "name": found.name}, text)


async def deploy_manifest(call: Call, kind: PathId, name: Name = None) -> Answer:
    """Let an LLMClient's own host answer."""
    return await _deployed(call, kind, name or "", deployed=True)


async def undeploy_manifest(call: Call, kind: PathId, name: Name = None) -> Answer:
    """Let an LLMClient's own host answer no more. The sandbox still does."""
    return await _deployed(call, kind, name or "", deployed=False)


async def _deployed(call: Call, kind: str, name: str, *, deployed: bool) -> Answer:
    meant = kind_named(kind)
    report = await call.api.manifests.deploy(
        call.principal, meant, _plain(meant, name), deployed=deployed
    )
    command = "deploy" if deployed else "undeploy"
    found = await _described(call, meant, name)
    before = "was already" if report.outcome == "unchanged" else "is"
    text = f"{meant} {report.name} {before} {'deployed' if deployed else 'not deployed'}"
    data = {**_reported(report), "status": whole(found, _status(call, found))["status"]}
    return answer(command, meant.value, data, text)


async def example_manifest(call: Call, kind: PathId) -> Answer:  # noqa: ARG001 - every call is one
    """A manifest of the kind to begin with, as an object and as YAML with remarks."""
    meant = kind_named(kind)
    from parley.wire.manifests.examples import example  # noqa: PLC0415

    text, manifest = example(meant)
    return answer("example-manifest", meant.value, {"manifest": manifest, "yaml": text})


async def json_schema(call: Call, kind: PathId) -> Answer:  # noqa: ARG001 - every call is one
    """The JSON schema of the kind's manifests."""
    meant = kind_named(kind)
    from parley.wire.manifests.reference import schema  # noqa: PLC0415

    return answer("json-schema", meant.value, schema(meant))


async def get_logs(call: Call, kind: PathId) -> Answer:  # noqa: ARG001 - every call is one
    """None are to be had here: always refused, with where they are."""
    meant = kind_named(kind)
    raise NotServed(
        f"the logs of {meant.value} manifests are not served by this API: whoever operates the "
        "stack reads them in its CloudWatch log groups"
    )


async def cli_status(call: Call) -> Answer:
    """How the account is: its models, and what of the caller's is unfinished."""
    unfinished = await call.api.read.unfinished(call.principal, COUNT_CAP)
    catalogue = await call.api.models.catalogue(call.principal.account)
    data = {
        "account": call.principal.account,
        "models": len(catalogue.models),
        "unfinished": {status.value: count for status, count in unfinished.items()},
        "version": VERSION,
    }
    return answer("status", "Status", data)


async def cli_version(call: Call) -> Answer:  # noqa: ARG001 - every call is one
    """The versions of this API and of its manifests."""
    return answer("version", "Version", {"version": VERSION, "apiVersion": API_VERSION})


async def who_am_i(call: Call) -> Answer:
    """Whose the key is."""
    principal = call.principal
    data = {
        "account": {"accountNumber": principal.account},
        "user": {"id": principal.user_id},
        "role": principal.role.value,
    }
    return answer("whoami", "User", data)


async def _described(call: Call, kind: ManifestKind, name: str) -> Manifest:
    return await call.api.manifests.describe(call.principal, kind, _plain(kind, name))


def _plain(kind: ManifestKind, name: str) -> str:
    """Names are stored in lower case, but for models' and keys', which others make, too."""
    return name if kind in {ManifestKind.MODEL, ManifestKind.API_KEY} else name.lower()


def _status(call: Call, manifest: Manifest) -> Json:
    if manifest.kind is ManifestKind.LLM_CLIENT and manifest.resource:
        return status_of(call, client_of(manifest.resource))
    return {}


TAG = "cli"
AT = "/api/v1/cli"
OF_KIND = f"{AT}/%s/<kind>"
REFUSES = (Invalid, NotFound)
ENDPOINTS = (
    Endpoint(
        "POST",
        f"{AT}/apply",
        apply_manifests,
        TAG,
        "Apply manifests",
        (Invalid, Conflict),
        manifests=True,
    ),
    Endpoint("POST", OF_KIND % "get", get_manifests, TAG, "List or get", REFUSES),
    Endpoint("POST", OF_KIND % "describe", describe_manifest, TAG, "Describe", REFUSES),
    Endpoint("POST", OF_KIND % "delete", delete_manifest, TAG, "Delete", (*REFUSES, Conflict)),
    Endpoint("POST", OF_KIND % "deploy", deploy_manifest, TAG, "Deploy an LLMClient", REFUSES),
    Endpoint(
        "POST", OF_KIND % "undeploy", undeploy_manifest, TAG, "Undeploy an LLMClient", REFUSES
    ),
    Endpoint(
        "POST", OF_KIND % "example-manifest", example_manifest, TAG, "Get an example", REFUSES
    ),
    Endpoint("POST", OF_KIND % "json-schema", json_schema, TAG, "Get a kind's schema", REFUSES),
    Endpoint("POST", OF_KIND % "logs", get_logs, TAG, "Say where logs are", (*REFUSES, NotServed)),
    Endpoint("POST", f"{AT}/status", cli_status, TAG, "Get the account's status"),
    Endpoint("POST", f"{AT}/version", cli_version, TAG, "Get the version"),
    Endpoint("POST", f"{AT}/whoami", who_am_i, TAG, "Get who is calling"),
)
