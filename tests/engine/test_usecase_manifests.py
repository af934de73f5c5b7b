"""Applying, listing, describing, deleting and deploying manifests."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from parley.core.access import KeyRole, Principal
from parley.core.errors import Busy, Conflict, Forbidden, Invalid, NotFound, TooLarge
from parley.core.manifest import Manifest, ManifestKind, differences, kind_named
from parley.core.model import Catalogue, Model, ProviderEntry
from parley.core.resource import Kind, Resource
from parley.usecases.clients import ClientRef, Clients
from parley.usecases.manifests import VALUE_GIVEN, Report

from tests.fakes.manifests import manifests_of
from tests.fakes.world import ACCOUNT, ADMIN, STRANGER, USER, World

ACCOUNT_KIND, USER_KIND = ManifestKind.ACCOUNT, ManifestKind.USER
KEY, CLIENT, PLUGIN = ManifestKind.API_KEY, ManifestKind.LLM_CLIENT, ManifestKind.PLUGIN
PROVIDER, SECRET, MODEL = ManifestKind.PROVIDER, ManifestKind.SECRET, ManifestKind.MODEL


class Described(World):
    """A world with manifests."""

    def __init__(self) -> None:
        super().__init__()
        resources = self._port(self.resources, "resources")
        self.clients = Clients(resources, self.clock.monotonic)
        self.manifests = manifests_of(self, resources, self.clients)

    async def apply(
        self, *manifests: Manifest, who: Principal = ADMIN, **options: Any
    ) -> list[Report]:
        return await self.clock.run(self.manifests.apply(who, manifests, **options))

    async def outcome(self, manifest: Manifest) -> tuple[str, tuple[str, ...]]:
        (report,) = await self.apply(manifest)
        return report.outcome, report.changed

    async def problem(self, *manifests: Manifest) -> str:
        with pytest.raises(Invalid) as refused:
            await self.apply(*manifests)
        return str(refused.value)

    async def describe(self, kind: ManifestKind, name: str = "") -> Manifest:
        return await self.manifests.describe(ADMIN, kind, name)


@pytest.fixture
def world() -> Described:
    return Described()


def client(name: str = "adviser", **spec: Any) -> Manifest:
    return Manifest(CLIENT, name, spec={"config": spec.pop("config", {}), **spec})


def plugin(name: str = "courses", **prompt: Any) -> Manifest:
    return Manifest(PLUGIN, name, spec={"prompt": prompt, "data": {"staticData": {"a": 1}}})


def key(name: str = "site", **spec: Any) -> Manifest:
    return Manifest(KEY, name, spec=spec)


def secret(name: str = "acme", value: str = "hush", **spec: Any) -> Manifest:
    return Manifest(SECRET, name, spec=spec, secret=value)


def provider(name: str = "acme", **endpoint: Any) -> Manifest:
    endpoint = {"base_url": "https://llm.example.com/v1", **endpoint}
    return Manifest(PROVIDER, name, spec={"provider": endpoint})


def model(name: str = "small", **spec: Any) -> Manifest:
    spec = {"baseUrl": "https://llm.example.com/v1", "providerModel": "m", **spec}
    return Manifest(MODEL, name, spec=spec)


SAMPLES = {
    ACCOUNT_KIND: Manifest(ACCOUNT_KIND, "us", spec={"companyName": "Us"}),
    USER_KIND: Manifest(USER_KIND, "jo", spec={"config": {"email": "jo@example.com"}}),
    KEY: key(),
    CLIENT: client(),
    PLUGIN: plugin(),
    PROVIDER: provider(),
    SECRET: secret("other"),
    MODEL: model(),
}


@pytest.mark.parametrize("kind", ManifestKind)
async def test_a_manifest_is_created_then_unchanged(world: Described, kind: ManifestKind) -> None:
    assert await world.outcome(SAMPLES[kind]) == ("created", ())
    again = replace(SAMPLES[kind], secret="")
    assert await world.outcome(again) == ("unchanged", ())
    found = await world.describe(kind, again.name)
    assert (found.kind, found.name) == (kind, again.name)
    assert await world.outcome(found) == ("unchanged", ())
    page = await world.manifests.list(ADMIN, kind, 10, "")
    assert again.name in [one.name for one in page.items]


CHANGES: list[tuple[Manifest, Manifest, tuple[str, ...]]] = [
    (client(), replace(client(), description="New"), ("metadata.description",)),
    (client(), replace(client(), version="0.2.0"), ("metadata.version",)),
    (client(), replace(client(), tags=("a",)), ("metadata.tags",)),
    (client(), replace(client(), annotations=({"a": 1},)), ("metadata.annotations",)),
    (client(), client(config={"appName": "A"}), ("spec.config.appName",)),
    (client(functions=["calculator"]), client(), ("spec.functions",)),
    (
        client(limits={"toolRounds": 1}),
        client(limits={"toolRounds": 2}),
        ("spec.limits.toolRounds",),
    ),
    (client(limits={"toolRounds": 1}), client(), ("spec.limits.toolRounds",)),
    (provider(), provider(default_model="m"), ("spec.provider.default_model",)),
    (provider(), replace(provider(), description="x"), ("metadata.description",)),
    (model(), model(context={"turns": 3}), ("spec.context.turns",)),
    (model(maxTokens=4), model(), ("spec.maxTokens",)),
    (secret(), secret(), ("spec.config.value",)),
    (secret(), replace(secret(value=""), description="x"), ("metadata.description",)),
    (
        secret(),
        secret(value="", config={"expiration_date": "2027-01-31"}),
        ("spec.config.expiration_date",),
    ),
]


@pytest.mark.parametrize(("before", "after", "paths"), CHANGES)
async def test_what_changed_is_told(
    world: Described, before: Manifest, after: Manifest, paths: tuple[str, ...]
) -> None:
    await world.apply(before)
    assert await world.outcome(after) == ("changed", paths)
    assert await world.outcome(replace(after, secret="")) == ("unchanged", ())


async def test_a_default_that_is_spelt_out_changes_no_model(world: Described) -> None:
    await world.apply(model())
    assert await world.outcome(model(context={"turns": 20, "tokens": 8000}, default=False)) == (
        "unchanged",
        (),
    )


async def test_a_dry_run_says_the_same_and_writes_nothing(world: Described) -> None:
    documents = (secret(), provider(api_key="acme"), plugin(), client(plugins=["courses"]), key())
    reports = await world.apply(*documents, dry_run=True)
    assert [report.outcome for report in reports] == ["created"] * 5
    assert not any(report.secret for report in reports)
    assert world.resources.stored == {}
    assert world.accounts.catalogues[ACCOUNT].providers == ()
    assert [k for k in world.accounts.by_hash.values() if k.name == "site"] == []
    assert world.secrets.values == {}


async def test_nothing_is_written_if_one_document_is_wrong(world: Described) -> None:
    text = await world.problem(plugin(), client(plugins=["courses", "none"]))
    assert text == (
        "spec.plugins.1: there is no Plugin none; apply it first, or earlier in the same call"
    )
    assert world.resources.stored == {}
    with pytest.raises(Invalid, match=r"^second: spec\.plugins\.0: there is no Plugin x"):
        await world.apply(plugin(), client(plugins=["x"]), places=["first: ", "second: "])


async def test_a_document_may_name_what_comes_before_it_and_not_what_comes_after(
    world: Described,
) -> None:
    documents = [
        secret(),
        provider(api_key="acme", default_model="m"),
        model(secret="acme"),
        plugin(),
        key(role="user"),
        client(config={"provider": "acme"}, plugins=["courses"], apiKey="site"),
        client("second", config={"defaultModel": "small"}),
        key("page", role="client", llmClient="adviser"),
    ]
    reports = await world.apply(*documents)
    assert [report.name for report in reports] == [one.name for one in documents]
    assert (await Described().problem(*reversed(documents))).count("there is no") == 7


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (client(plugins=["x"]), "spec.plugins.0: there is no Plugin x"),
        (client(apiKey="x"), "spec.apiKey: there is no active ApiKey of this name"),
        (client(config={"provider": "x"}), "spec.config.provider: there is no Provider x"),
        (plugin(provider="x"), "spec.prompt.provider: there is no Provider x, nor one built in"),
        (
            client(config={"provider": "openai"}),
            "spec.config.defaultModel: must be given: openai has no default_model",
        ),
        (client(config={"defaultModel": "x"}), "spec.config.defaultModel: there is no Model x"),
        (key(role="client", llmClient="x"), "spec.llmClient: there is no LLMClient x"),
        (key(active=False), "spec.active: there is no such key to revoke"),
        (provider(api_key="x"), "spec.provider.api_key: there is no Secret of this name"),
        (model(secret="x"), "spec.secret: there is no Secret of this name"),
        (secret(value=""), "spec.config.value: must be given, for the Secret is new"),
        (
            Manifest(ACCOUNT_KIND, "us", spec={"accountNumber": "9999-9999-9999"}),
            "spec.accountNumber: must be the account's own",
        ),
    ],
)
async def test_what_is_named_must_be_there(
    world: Described, manifest: Manifest, problem: str
) -> None:
    assert (await world.problem(manifest)).startswith(problem)


async def test_a_plugin_may_name_a_provider_of_the_account_or_one_built_in(
    world: Described,
) -> None:
    reports = await world.apply(
        provider(), plugin("ours", provider="acme"), plugin("built-in", provider="openai")
    )
    assert [report.outcome for report in reports] == ["created"] * 3


PASTED = "sk-proj-0123456789"


@pytest.mark.parametrize(
    "manifest", [provider(api_key=PASTED), model(secret=PASTED), client(apiKey=PASTED)]
)
async def test_a_key_pasted_in_the_place_of_a_name_is_not_repeated(
    world: Described, manifest: Manifest
) -> None:
    assert PASTED not in await world.problem(manifest)


async def test_the_same_thing_twice_in_a_call_is_refused(world: Described) -> None:
    assert await world.problem(plugin(), plugin()) == "metadata.name: Plugin courses is there twice"


async def test_two_names_with_one_label_are_refused(world: Described) -> None:
    await world.apply(client("course_adviser"))
    text = "metadata.name: LLMClient course_adviser has the same label in its host"
    assert await world.problem(client("course-adviser")) == text
    both = await Described().problem(client("a-b"), client("a_b"))
    assert both == "metadata.name: LLMClient a-b has the same label in its host"


async def test_of_two_names_with_one_label_at_once_the_later_is_refused(
    world: Described,
) -> None:
    async def theirs() -> None:
        await other.apply(ADMIN, [client("course_adviser")])

    other = world.manifests
    meddled(world, 1, theirs)
    with pytest.raises(Conflict, match="LLMClient course_adviser has the same label in its host"):
        await world.apply(client("course-adviser"))
    with pytest.raises(NotFound):
        await world.describe(CLIENT, "course-adviser")


async def test_there_is_one_account_and_its_name_is_free(world: Described) -> None:
    shown = await world.describe(ACCOUNT_KIND)
    assert shown.spec == {"accountNumber": ACCOUNT}
    await world.apply(replace(shown, name="us"))
    assert (await world.describe(ACCOUNT_KIND)).name == "us"
    assert (await world.describe(ACCOUNT_KIND, ACCOUNT)).name == "us"
    assert await world.problem(Manifest(ACCOUNT_KIND, "them")) == (
        "metadata.name: the account is described already, as us"
    )
    with pytest.raises(NotFound):
        await world.describe(ACCOUNT_KIND, "them")
    with pytest.raises(Invalid, match="cannot be deleted"):
        await world.manifests.delete(ADMIN, ACCOUNT_KIND, "us")


async def test_only_admins_may_and_only_in_their_account(world: Described) -> None:
    await world.apply(client())
    manifests = world.manifests
    for who in (USER, replace(ADMIN, role=KeyRole.CLIENT), replace(ADMIN, role=KeyRole.SESSION)):
        calls: list[Callable[[], Any]] = [
            lambda who=who: manifests.apply(who, [client()]),
            lambda who=who: manifests.list(who, CLIENT, 10, ""),
            lambda who=who: manifests.describe(who, CLIENT, "adviser"),
            lambda who=who: manifests.delete(who, CLIENT, "adviser"),
            lambda who=who: manifests.deploy(who, CLIENT, "adviser", deployed=True),
        ]
        for call in calls:
            with pytest.raises(Forbidden):
                await call()
    for kind in ManifestKind:
        if kind is not ACCOUNT_KIND:
            with pytest.raises(NotFound):
                await manifests.describe(STRANGER, kind, SAMPLES[kind].name)
    assert (await manifests.list(STRANGER, CLIENT, 10, "")).items == []


# --- keys and secrets ----------------------------------------------------------------------


async def test_a_key_is_shown_once_works_and_is_revoked(world: Described) -> None:
    await world.apply(client())
    (made,) = await world.apply(key("page", role="client", llmClient="adviser"))
    assert len(made.secret) == 64
    assert made.secret not in repr(made)
    caller = await world.authenticate(made.secret)
    assert (caller.role, caller.client) == (KeyRole.CLIENT, "adviser")
    (again,) = await world.apply(key("page"))
    assert (again.outcome, again.secret) == ("unchanged", "")
    assert await world.outcome(key("page", active=False)) == ("changed", ("spec.active",))
    assert await world.outcome(key("page", active=False)) == ("unchanged", ())
    assert (await world.describe(KEY, "page")).spec["active"] is False
    assert await world.problem(client(apiKey="page")) == (
        "spec.apiKey: there is no active ApiKey of this name"
    )
    (new,) = await world.apply(key("page", role="user"))
    assert new.outcome == "created"
    assert (await world.authenticate(new.secret)).role is KeyRole.USER


async def test_a_key_cannot_be_changed(world: Described) -> None:
    await world.apply(key(role="user", user="usr_9"))
    text = await world.problem(key(role="admin", user="usr_8"))
    assert text == (
        "spec.user: a key cannot be changed; delete it and apply it again\n"
        "spec.role: a key cannot be changed; delete it and apply it again"
    )


async def test_a_key_cannot_revoke_itself(world: Described) -> None:
    (made,) = await world.apply(key("mine", role="admin"))
    me = await world.authenticate(made.secret)
    with pytest.raises(Invalid, match="a key cannot revoke itself"):
        await world.manifests.apply(me, [key("mine", active=False)])
    with pytest.raises(Invalid, match="a key cannot revoke itself"):
        await world.manifests.delete(me, KEY, "mine")
    await world.manifests.delete(ADMIN, KEY, "mine")
    assert (await world.describe(KEY, "mine")).spec["active"] is False


async def test_a_value_goes_to_the_secret_store_and_nowhere_else(world: Described) -> None:
    await world.apply(secret(value="hush-1"))
    assert world.secrets.values == {(ACCOUNT, "acme"): "hush-1"}
    assert "hush-1" not in str(world.resources.stored)
    assert "hush" not in repr(await world.describe(SECRET, "acme"))
    assert await world.outcome(secret(value="")) == ("unchanged", ())
    (report,) = await world.apply(secret(value="hush-1"))
    assert (report.outcome, report.changed) == ("changed", ("spec.config.value",))
    assert report.notes == (VALUE_GIVEN,)
    await world.manifests.delete(ADMIN, SECRET, "acme")
    assert world.secrets.values == {}


# --- the catalogue -------------------------------------------------------------------------


async def test_models_and_providers_share_the_catalogue(world: Described) -> None:
    await world.apply(provider(default_model="m"), model(default=True))
    catalogue = world.accounts.catalogues[ACCOUNT]
    assert catalogue.providers == (
        ProviderEntry("acme", "https://llm.example.com/v1", default_model="m"),
    )
    assert [(one.id, one.default) for one in catalogue.models] == [
        ("model", False),
        ("small", True),
    ]
    assert catalogue.resolve("").id == "small"
    await world.models.replace(ADMIN, Catalogue((Model("only", "u", "m"),)))
    kept = world.accounts.catalogues[ACCOUNT]
    assert (kept.providers, [one.id for one in kept.models]) == (catalogue.providers, ["only"])
    await world.manifests.delete(ADMIN, PROVIDER, "acme")
    left = world.accounts.catalogues[ACCOUNT]
    assert (left.models, left.providers) == (kept.models, ())


@pytest.mark.parametrize("default", [True, False], ids=["marked", "first"])
async def test_the_model_of_what_names_none_is_deleted_once_another_one_is(
    world: Described, default: bool
) -> None:
    catalogue = Catalogue((Model("one", "u", "m", default=default), Model("two", "u", "m")))
    world.accounts.catalogues[ACCOUNT] = catalogue
    with pytest.raises(Conflict, match=r"^Model one answers whatever names no model: make another"):
        await world.manifests.delete(ADMIN, MODEL, "one")
    assert world.accounts.catalogues[ACCOUNT] == catalogue
    await world.apply(model("three", default=True))
    await world.manifests.delete(ADMIN, MODEL, "one")
    await world.manifests.delete(ADMIN, MODEL, "two")
    assert [one.id for one in world.accounts.catalogues[ACCOUNT].models] == ["three"]
    with pytest.raises(Conflict):
        await world.manifests.delete(ADMIN, MODEL, "three")


async def test_a_secret_that_was_put_by_other_means_stays_good(world: Described) -> None:
    world.accounts.catalogues[ACCOUNT] = Catalogue((Model("m", "https://a.b", "m", secret="ssm"),))
    found = await world.describe(MODEL, "m")
    changed = replace(found, spec={**found.spec, "maxTokens": 9})
    assert await world.outcome(changed) == ("changed", ("spec.maxTokens",))


async def test_a_catalogue_that_is_too_large_is_refused_before_anything_is_written(
    world: Described,
) -> None:
    large = [model(f"m{n}", template="x" * 8 * 1024) for n in range(40)]
    text = await world.problem(plugin(), *large)
    assert "spec: models are together larger than 300 KB" in text
    assert world.resources.stored == {}
    with pytest.raises(TooLarge):
        await world.models.change(
            ADMIN, lambda c: replace(c, models=(Model("x", "u", "m" * 400_000),))
        )


async def test_the_catalogue_holds_a_hundred_models(world: Described) -> None:
    text = await world.problem(*(model(f"m{n}") for n in range(100)))
    assert text == "metadata.name: an account may have 100 Models"


async def test_what_a_kind_does_not_keep_is_told(world: Described) -> None:
    given = {"description": "d", "version": "1.0.0", "tags": ("a",), "annotations": ({"a": 1},)}
    paths = tuple(f"metadata.{name}" for name in given)
    reports = await world.apply(
        *(
            replace(one, **given)
            for one in (key(), model(), provider(logo="x", is_active=True), plugin())
        )
    )
    assert [report.not_kept for report in reports] == [
        paths,
        paths,
        (*paths[1:], "spec.provider.logo", "spec.provider.is_active"),
        (),
    ]
    for one in (replace(model(), **given), replace(provider(logo="x"), **given)):
        assert (await world.apply(one))[0].outcome == "unchanged"


# --- deploying and deleting ----------------------------------------------------------------


async def test_deploying_is_kept_by_a_manifest_that_does_not_say(world: Described) -> None:
    await world.apply(client())
    deploy = world.manifests.deploy
    assert (await deploy(ADMIN, CLIENT, "adviser", deployed=True)).outcome == "changed"
    assert (await deploy(ADMIN, CLIENT, "adviser", deployed=True)).outcome == "unchanged"
    assert (await world.clients.find(ClientRef(ACCOUNT, "adviser"))).deployed
    assert await world.outcome(client(config={"appName": "A"})) == (
        "changed",
        ("spec.config.appName",),
    )
    assert (await world.clients.find(ClientRef(ACCOUNT, "adviser"))).deployed
    assert (await deploy(ADMIN, CLIENT, "adviser", deployed=False)).outcome == "changed"
    assert not (await world.clients.find(ClientRef(ACCOUNT, "adviser"))).deployed
    assert await world.outcome(client(config={"deployed": True, "appName": "A"})) == (
        "changed",
        ("spec.config.deployed",),
    )


async def test_only_an_llm_client_can_be_deployed(world: Described) -> None:
    await world.apply(plugin())
    with pytest.raises(Invalid, match="only an LLMClient can be deployed"):
        await world.manifests.deploy(ADMIN, PLUGIN, "courses", deployed=True)
    with pytest.raises(NotFound):
        await world.manifests.deploy(ADMIN, CLIENT, "none", deployed=True)


@pytest.mark.parametrize(
    ("used", "by", "words"),
    [
        (plugin(), client(plugins=["courses"]), "LLMClient adviser"),
        (provider(default_model="m"), client(config={"provider": "acme"}), "LLMClient adviser"),
        (model(), client(config={"defaultModel": "small"}), "LLMClient adviser"),
        (secret(), provider("other", api_key="acme"), "Provider other"),
        (model(), plugin(model="small"), "Plugin courses"),
        (provider(), plugin(provider="acme"), "Plugin courses"),
        (key(), client(apiKey="site"), "LLMClient adviser"),
        (secret(), model(secret="acme"), "Model small"),
        (Manifest(USER_KIND, "jo"), key(user="jo"), "ApiKey site"),
    ],
)
async def test_what_is_used_cannot_be_deleted(
    world: Described, used: Manifest, by: Manifest, words: str
) -> None:
    await world.apply(used, by)
    with pytest.raises(Conflict, match=f"is used by {words}$"):
        await world.manifests.delete(ADMIN, used.kind, used.name)
    await world.manifests.delete(ADMIN, by.kind, by.name)
    await world.manifests.delete(ADMIN, used.kind, used.name)
    if used.kind is KEY:
        assert (await world.describe(KEY, used.name)).spec["active"] is False
        return
    with pytest.raises(NotFound):
        await world.describe(used.kind, used.name)


async def test_an_llm_client_is_applied_as_described_after_its_key_was_revoked(
    world: Described,
) -> None:
    await world.apply(key(), key("other"), client(apiKey="site"), client("second", apiKey="other"))
    assert await world.outcome(key(active=False)) == ("changed", ("spec.active",))
    found = await world.describe(CLIENT, "adviser")
    assert await world.outcome(found) == ("unchanged", ())
    assert await world.outcome(client(apiKey="site", config={"appName": "A"})) == (
        "changed",
        ("spec.config.appName",),
    )
    stored = await world.clients.find(ClientRef(ACCOUNT, "adviser"))
    assert stored.api_key == "site", "a client with a revoked key does not become public"
    assert await world.problem(client("second", apiKey="site")) == (
        "spec.apiKey: there is no active ApiKey of this name"
    )


async def test_every_page_of_clients_is_looked_through(world: Described) -> None:
    await world.apply(plugin(), *(client(f"c{n:03}") for n in range(99)))
    await world.apply(*(client(f"d{n:03}", plugins=["courses"]) for n in range(20)))
    with pytest.raises(Conflict, match="LLMClient d009 and 10 more"):
        await world.manifests.delete(ADMIN, PLUGIN, "courses")


async def test_deleting_an_llm_client_revokes_the_keys_for_it(world: Described) -> None:
    await world.apply(client(), client("second"))
    made = await world.apply(
        key("a", role="client", llmClient="adviser"), key("b", role="client", llmClient="second")
    )
    await world.manifests.delete(ADMIN, CLIENT, "adviser")
    assert (await world.describe(KEY, "a")).spec["active"] is False
    assert (await world.describe(KEY, "b")).spec["active"] is True
    assert made[0].secret != made[1].secret
    with pytest.raises(NotFound):
        await world.clients.find(ClientRef(ACCOUNT, "adviser"))


async def test_a_page_s_token_may_only_chat_and_ends(world: Described) -> None:
    _, secret = await world.keys.create(ADMIN, "usr_1", KeyRole.USER, "theirs")
    maker = await world.authenticate(secret)
    token, expires_at = await world.keys.token(maker, "adviser", 1)
    caller = await world.authenticate(token)
    assert (caller.role, caller.client) == (KeyRole.CLIENT, "adviser")
    assert caller.user_id != maker.user_id
    assert expires_at == world.clock.now() // 1000 + 3600
    assert [one.name for one in await world.keys.list(ADMIN)] == ["theirs"]
    with pytest.raises(Forbidden):
        await world.keys.token(caller, "adviser", 1)


async def chats(world: Described, secret: str) -> bool:
    """True if a key opens the chat of the llm_client that is called adviser now."""
    caller = await world.authenticate(secret)
    try:
        await world.clients.enter(ClientRef(ACCOUNT, "adviser"), caller, sandbox=True)
    except Forbidden:
        return False
    return True


async def test_a_namesake_of_a_deleted_llm_client_has_none_of_its_keys(world: Described) -> None:
    """A page's token is in no list, so nobody revokes it; nor a key whose deletion broke off."""
    await world.apply(client(config={"deployed": True}))
    _, key_ = await world.keys.create(ADMIN, "", KeyRole.CLIENT, "for it", "adviser")
    maker = await world.authenticate((await world.keys.create(ADMIN, "", KeyRole.USER, ""))[1])
    number = (await world.clients.find(ClientRef(ACCOUNT, "adviser"))).number
    token, _ = await world.keys.token(maker, "adviser", number)
    assert [await chats(world, key_), await chats(world, token)] == [True, True]
    found = await world.describe(CLIENT, "adviser")
    await world.manifests.stored.delete(ADMIN, found)
    world.clients.forget()
    await world.apply(client(config={"deployed": True}))
    assert [await chats(world, key_), await chats(world, token)] == [False, False]


async def test_a_client_key_is_made_for_an_llm_client_that_is_there(world: Described) -> None:
    with pytest.raises(NotFound):
        await world.keys.create(ADMIN, "", KeyRole.CLIENT, "", "adviser")
    await world.apply(client(config={"deployed": True}))
    _, key_ = await world.keys.create(ADMIN, "", KeyRole.CLIENT, "", "adviser")
    assert await chats(world, key_)


# --- races ---------------------------------------------------------------------------------


class Meddler:
    """Somebody else, who writes just before ours is written; as often as `times`."""

    def __init__(self, world: Described, times: int, write: Callable[[], Any]) -> None:
        self.left, self.write = times, write
        store = world.resources
        self.put = {"add": store.add, "replace": store.replace}

    def around(self, name: str) -> Callable[[Resource], Any]:
        async def call(resource: Resource) -> Resource:
            if self.left:
                self.left -= 1
                await self.write()
            stored: Resource = await self.put[name](resource)
            return stored

        return call


def meddled(world: Described, times: int, write: Callable[[], Any]) -> None:
    meddler = Meddler(world, times, write)

    class Store:
        add = staticmethod(meddler.around("add"))
        replace = staticmethod(meddler.around("replace"))

        def __getattr__(self, name: str) -> Any:
            return getattr(world.resources, name)

    store = replace(world.manifests.stored, resources=Store())  # type: ignore[arg-type]
    world.manifests = replace(world.manifests, stored=store)


async def test_ours_is_applied_on_top_of_what_somebody_else_wrote_meanwhile(
    world: Described,
) -> None:
    async def theirs() -> None:
        await world.resources.add(
            Resource(ACCOUNT, Kind.LLM_CLIENT, "adviser", 1, 1, "theirs", spec={"config": {}})
        )

    meddled(world, 1, theirs)
    assert await world.outcome(client(functions=["calculator"])) == (
        "changed",
        ("metadata.description", "spec.functions"),
    )
    stored = await world.describe(CLIENT, "adviser")
    assert (stored.description, stored.spec["functions"]) == ("", ["calculator"])


@pytest.mark.parametrize("deployed", [False, True])
async def test_apply_does_not_undo_a_deploy_or_an_undeploy_meanwhile(
    world: Described, deployed: bool
) -> None:
    await world.apply(client(config={"deployed": not deployed}))

    async def theirs() -> None:
        await other.deploy(ADMIN, CLIENT, "adviser", deployed=deployed)

    other = world.manifests
    meddled(world, 1, theirs)
    changed = ("spec.config.appName",)
    assert await world.outcome(client(config={"appName": "A"})) == ("changed", changed)
    assert (await world.describe(CLIENT, "adviser")).at("config", "deployed") is deployed


async def test_changing_and_changing_again_ends(world: Described) -> None:
    await world.apply(client())

    async def theirs() -> None:
        stored = await world.resources.resource(ACCOUNT, Kind.LLM_CLIENT, "adviser")
        assert stored
        await world.resources.replace(replace(stored, description=f"{stored.revision}"))

    meddled(world, 100, theirs)
    with pytest.raises(Busy, match="being changed by somebody else"):
        await world.apply(client(functions=["calculator"]))
    with pytest.raises(Busy, match="being changed by somebody else"):
        await world.manifests.deploy(ADMIN, CLIENT, "adviser", deployed=True)
    meddled(world, 1, theirs)
    assert (await world.manifests.deploy(ADMIN, CLIENT, "adviser", deployed=True)).changed


async def test_what_somebody_else_deleted_meanwhile_is_created(world: Described) -> None:
    await world.apply(client())

    async def theirs() -> None:
        stored = await world.resources.resource(ACCOUNT, Kind.LLM_CLIENT, "adviser")
        assert stored
        await world.resources.delete(stored)

    meddled(world, 1, theirs)
    assert (await world.outcome(client(functions=["calculator"])))[0] == "created"


class MeddledCatalogue:
    """A catalogue that somebody else changes just before ours is stored, so many times."""

    def __init__(self, world: Described, times: int) -> None:
        self.accounts, self.left = world.accounts, times

    async def put_catalogue(self, account: str, catalogue: Catalogue) -> None:
        if self.left:
            self.left -= 1
            stored = await self.accounts.catalogue(account)
            theirs = Model(f"theirs-{self.left}", "u", "m")
            models = (*stored.models, theirs)
            await self.accounts.put_catalogue(account, replace(stored, models=models))
        await self.accounts.put_catalogue(account, catalogue)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.accounts, name)


async def test_what_somebody_else_put_into_the_catalogue_meanwhile_stays(
    world: Described,
) -> None:
    world.models.store = MeddledCatalogue(world, 2)  # type: ignore[assignment]
    assert await world.outcome(model("ours")) == ("created", ())
    names = [one.id for one in world.accounts.catalogues[ACCOUNT].models]
    assert names == ["model", "theirs-1", "theirs-0", "ours"]
    world.models.store = MeddledCatalogue(world, 2)  # type: ignore[assignment]
    await world.manifests.delete(ADMIN, MODEL, "ours")
    assert [one.id for one in world.accounts.catalogues[ACCOUNT].models][-1] == "theirs-0"
    world.models.store = MeddledCatalogue(world, 100)  # type: ignore[assignment]
    with pytest.raises(Busy, match="being changed by somebody else"):
        await world.apply(provider())


async def test_a_call_that_breaks_off_has_made_no_key_that_nobody_saw(world: Described) -> None:
    world.models.store = MeddledCatalogue(world, 100)  # type: ignore[assignment]
    with pytest.raises(Busy):
        await world.apply(key(), model("ours"))
    assert await world.keys.list(ADMIN) == []
    world.models.store = world.accounts
    made, _ = await world.apply(key(), model("ours"))
    assert (made.name, made.outcome, len(made.secret)) == ("site", "created", 64)


async def test_the_verified_host_stays_with_its_domain_only(world: Described) -> None:
    domain = {"customDomain": {"domain_name": "example.com"}}
    await world.apply(client(config=domain))
    stored = await world.resources.resource(ACCOUNT, Kind.LLM_CLIENT, "adviser")
    assert stored
    await world.resources.replace(replace(stored, host="adviser.example.com"))
    await world.apply(client(config={**domain, "appName": "A"}))
    assert await world.resources.by_host("adviser.example.com")
    await world.apply(client(config={"customDomain": {"domain_name": "example.org"}}))
    assert await world.resources.by_host("adviser.example.com") is None


# --- words and pages -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(("LLMClient", CLIENT), ("llmclients", CLIENT), ("llm-clients", CLIENT)),
        *(("llm_client", CLIENT), ("chatbots", CLIENT), ("Chatbot", CLIENT)),
        *(("ApiKeys", KEY), ("api-key", KEY), ("accounts", ACCOUNT_KIND), ("SECRETS", SECRET)),
        *(("plugins", PLUGIN), ("users", USER_KIND), ("models", MODEL), ("provider", PROVIDER)),
    ],
)
def test_a_kind_may_be_called_in_many_ways(word: str, kind: ManifestKind) -> None:
    assert kind_named(word) is kind


@pytest.mark.parametrize("word", ["", "s", "thing", "llmclientss"])
def test_another_word_is_no_kind(word: str) -> None:
    with pytest.raises(NotFound, match="the kinds are Account, User"):
        kind_named(word)


@pytest.mark.parametrize("kind", [CLIENT, MODEL, KEY])
async def test_lists_have_pages(world: Described, kind: ManifestKind) -> None:
    world.accounts.catalogues.clear()
    made = [replace(SAMPLES[kind], name=f"n{n}") for n in range(5)]
    await world.apply(*made)
    names, after = [], ""
    while True:
        page = await world.manifests.list(ADMIN, kind, 2, after)
        names += [one.name for one in page.items]
        after = page.after
        if not after:
            break
    assert names == [one.name for one in made]
    with pytest.raises(Invalid):
        await world.manifests.list(ADMIN, kind, 2, "nonsense")


def test_a_difference_is_by_value_and_type() -> None:
    one = client(config={"a": {"b": True}, "c": [1]})
    other = client(config={"a": {"b": 1}, "c": [1], "d": 0.0})
    assert differences(one, other) == ("spec.config.a.b", "spec.config.d")
    assert differences(one, one) == ()


async def test_an_llm_client_without_its_providers_key_is_told_so(world: Described) -> None:
    """A warning, for the parameter store may have the key; none if the same call brings it."""
    (report,) = await world.apply(client(config={"provider": "openai", "defaultModel": "m"}))
    assert report.outcome == "created"
    assert "there is no Secret openai" in report.notes[0]
    both = await world.apply(
        client("other", config={"provider": "openai", "defaultModel": "m"}), secret("openai")
    )
    assert [report.notes for report in both] == [(), ()]
    (keyless, _) = await world.apply(
        provider(), client("third", config={"provider": "acme", "defaultModel": "m"})
    )
    assert keyless.notes == ()


async def test_a_default_that_moves_is_told(world: Described) -> None:
    (first,) = await world.apply(model("one", default=True))
    (second,) = await world.apply(model("two", default=True), dry_run=True)
    assert "in the place of" in first.notes[0]  # of the model that the world has
    assert "in the place of one" in second.notes[0]
    (again,) = await world.apply(model("one", default=True))
    assert (again.outcome, again.notes) == ("unchanged", ())
