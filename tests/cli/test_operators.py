"""`parley accounts` and `parley domains`, on moto's DynamoDB."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from parley.adapters.dynamodb_resources import DynamoResources
from parley.core.resource import Kind, Resource

from tests.cli.test_operate import ACCOUNT, parley, stack, store, who

__all__ = ["stack", "store"]  # fixtures

OTHER = "2718-2818-2845"
AT = ("--stack", "parley")
VERIFY = ("domains", "verify", "chat.acme.com", "--account", ACCOUNT, *AT, "--llm-client")


def described(store: Any, name: str, domain: str) -> Resource:
    """An llm_client whose manifest names a domain."""
    spec = {"config": {"customDomain": {"domain_name": domain}} if domain else {}}
    client = Resource(ACCOUNT, Kind.LLM_CLIENT, name, 1, 1, spec=spec)
    return asyncio.run(DynamoResources(store()).add(client))


def stored(store: Any, name: str) -> Resource | None:
    return asyncio.run(DynamoResources(store()).resource(ACCOUNT, Kind.LLM_CLIENT, name))


def of_host(store: Any, host: str) -> Resource | None:
    return asyncio.run(DynamoResources(store()).by_host(host))


def test_an_account_is_made_with_a_key_that_opens_it_and_is_listed(stack, store):
    made = parley("accounts", "create", OTHER, "--name", "Acme", *AT, "--json")
    assert made.exit_code == 0, made.stderr
    admin = who(store, json.loads(made.stdout)["admin_key"])
    assert (admin.account, admin.admin, admin.user_id) == (OTHER, True, "admin")
    listed = json.loads(parley("accounts", "list", *AT, "--json").stdout)["accounts"]
    assert [(one["account"], one["name"]) for one in listed] == [(OTHER, "Acme")]
    assert "Acme" in parley("accounts", "list", *AT).stdout


def test_an_account_is_made_once(stack):
    assert parley("accounts", "create", OTHER, *AT).exit_code == 0
    again = parley("accounts", "create", OTHER, *AT)
    assert (again.exit_code, "--add-key" in again.stderr) == (1, True)
    assert parley("accounts", "create", "123", *AT).exit_code == 2
    assert parley("accounts", "create", "1111-1111-1111", "--user", "a b", *AT).exit_code == 2
    assert len(json.loads(parley("accounts", "list", *AT, "--json").stdout)["accounts"]) == 1


@pytest.mark.parametrize("domain", ["acme.com", "chat.acme.com"])
def test_a_host_of_the_manifests_domain_is_verified_and_removed(stack, store, domain):
    described(store, "stackademy", domain)
    for name in ("stackademy", "Stackademy"):  # in any case, as the API takes it
        assert parley(*VERIFY, name).exit_code == 0
    found = of_host(store, "chat.acme.com")
    assert found is not None
    assert (found.name, found.host, found.revision) == ("stackademy", "chat.acme.com", 2)
    assert parley("domains", "remove", "chat.acme.com", *AT).exit_code == 0
    assert of_host(store, "chat.acme.com") is None
    assert parley("domains", "remove", "chat.acme.com", *AT).exit_code == 4


@pytest.mark.parametrize("domain", ["", "other.com", "hat.acme.com", "www.chat.acme.com"])
def test_a_host_that_the_manifest_does_not_name_is_refused(stack, store, domain):
    described(store, "stackademy", domain)
    refused = parley(*VERIFY, "stackademy")
    assert refused.exit_code == 1
    assert "manifest of stackademy" in refused.stderr
    assert of_host(store, "chat.acme.com") is None


def test_a_second_host_takes_the_place_of_the_first_and_says_so(stack, store):
    described(store, "stackademy", "acme.com")
    assert "in the place of" not in parley(*VERIFY, "stackademy").stderr
    words = ["domains", "verify", "www.acme.com", "--llm-client", "stackademy"]
    second = parley(*words, "--account", ACCOUNT, *AT)
    assert "in the place of chat.acme.com" in second.stderr
    assert of_host(store, "chat.acme.com") is None


def test_a_host_stands_for_one_llm_client_only(stack, store):
    described(store, "stackademy", "acme.com")
    described(store, "other", "acme.com")
    assert parley(*VERIFY, "stackademy").exit_code == 0
    refused = parley(*VERIFY, "other")
    assert (refused.exit_code, "another llm_client" in refused.stderr) == (1, True)
    assert parley(*VERIFY, "absent").exit_code == 4


@pytest.mark.parametrize(
    "host",
    ["acme", "api.acme.com", "x.3141-5926-5359.api.acme.com", "10.0.0.1", "a b.com", "acme.com:80"],
)
def test_what_cannot_be_a_custom_host_is_a_slip(stack, store, host):
    described(store, "stackademy", "acme.com")
    words = ["domains", "verify", host, "--llm-client", "stackademy", "--account", ACCOUNT, *AT]
    assert parley(*words).exit_code == 2


def test_a_manifest_that_is_applied_meanwhile_is_not_undone(stack, store, monkeypatch):
    client = described(store, "stackademy", "acme.com")
    real = DynamoResources.replace
    raced: list[int] = []

    async def race(self: DynamoResources, resource: Resource) -> Resource:
        if not raced:
            raced.append(1)
            await real(self, replace(client, description="newer"))
        return await real(self, resource)

    monkeypatch.setattr(DynamoResources, "replace", race)
    assert parley(*VERIFY, "stackademy").exit_code == 0
    found = stored(store, "stackademy")
    assert found is not None
    assert (found.description, found.host) == ("newer", "chat.acme.com")
