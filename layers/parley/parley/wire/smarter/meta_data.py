"""`meta_data` of the config object: what kind of address this is, and of whose llm_client.

Every key of contract 3.2 that is a flag or public anyway. Kept back are those of the caller
(address, browser, key), and those that show how the original is made.
"""

from typing import Any

from parley.core.address import bare_host
from parley.core.session import Session
from parley.wire.http_calls import ChatCall
from parley.wire.shapes import stamp
from parley.wire.smarter.history import chat_url, profile_of

Json = dict[str, Any]


def meta_data_of(call: ChatCall, session: Session, chatbot: Any) -> Json:
    """The keys by name; `chatbot` is the llm_client as the config has it."""
    client, profile = call.client, profile_of(call.client)
    return {
        **_READY,
        **_address(call),
        "is_deployed": client.deployed,
        "is_authentication_required": call.address.sandbox or bool(client.api_key),
        "account": profile["account"],
        "user_profile": profile,
        "chatbot": chatbot,
        "chatbot_id": client.number,
        "chatbot_name": client.name,
        "chatbot_custom_domain": client.custom_domain or None,
        "name": client.name,
        "rfc1034_compliant_name": client.dns_name,
        "session_key": session.key,
        "timestamp": stamp(call.api.chats.clock.now()),
    }


# Where an llm_client's config is answered all of it is there.
_READY = {
    "is_valid": True,
    "is_ready": True,
    "ready": True,
    "am_ready": True,
    "srm_ready": True,
    "is_helper_ready": True,
    "is_chatbot": True,
    "is_config": True,
    "is_dashboard": False,
}


def _address(call: ChatCall) -> Json:
    """What is to be known of the address that was called: host, path, and which family's."""
    host, path = call.request.told_host, call.request.path
    sandbox, custom = call.address.sandbox, bool(call.address.ref.host)
    workbench, cli = path.startswith("/workbench/"), path.startswith("/api/v1/cli/")
    domain = _environment_domain(call)
    subdomain = None if sandbox or custom else call.client.dns_name
    return {
        "hostname": host,
        "domain": host,
        "api_host": host,
        "subdomain": subdomain,
        "api_subdomain": subdomain,
        "environment_api_domain": domain or None,
        "root_domain": call.api.chats.domain.removeprefix("api.") or None,
        "path": path,
        "url_path_parts": [part for part in path.split("/") if part],
        "url": chat_url(call),
        "is_chatbot_named_url": bool(subdomain),
        "is_default_domain": bool(subdomain),
        "is_custom_domain": custom,
        "is_environment_root_domain": bool(domain) and bare_host(host) == bare_host(domain),
        "is_chatbot_sandbox_url": sandbox,
        "is_chatbot_smarter_api_url": sandbox and not (workbench or cli),
        "is_chatbot_cli_api_url": sandbox and cli,
        "is_smarter_api": sandbox and not workbench,
        "is_workbench": sandbox and workbench,
    }


def _environment_domain(call: ChatCall) -> str:
    """What the hosts of all accounts end with; empty if the API has no domain."""
    chats = call.api.chats
    between = f"{chats.environment}." if chats.environment not in {"", "prod"} else ""
    return f"{between}{chats.domain}" if chats.domain else ""
