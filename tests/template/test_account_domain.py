"""An account's domain covers the hosts that Parley prints, and nothing else."""

import json
import re
from pathlib import Path

import pytest
from parley.core.address import ENVIRONMENTS, NAMED, named_host
from parley.core.llm_client import LlmClient

from tests.template.test_rules import load

PATH = Path("infra/account-domain.yaml")
TEMPLATE = load(PATH)
PARAMETERS = TEMPLATE["Parameters"]
PROPERTIES = {name: r["Properties"] for name, r in TEMPLATE["Resources"].items()}
HOST = PROPERTIES["DomainName"]["DomainName"]
ACCOUNT = "3141-5926-5359"


def host(environment: str) -> str:
    """The template's host, worked out as CloudFormation would."""
    text, words = HOST["Fn::Sub"]
    first, second = TEMPLATE["Conditions"]["Production"]["Fn::Or"]
    production = [c["Fn::Equals"][1] for c in (first, second)]
    condition, then, otherwise = words["Word"]["Fn::If"]
    assert condition == "Production"
    word = then if environment in production else otherwise["Fn::Sub"]
    text = text.replace("${Word}", word).replace("${Environment}", environment)
    return text.replace("${Account}", ACCOUNT).replace("${Domain}", "example.com")


@pytest.mark.parametrize("environment", ["", *ENVIRONMENTS])
def test_every_llm_client_of_the_account_has_its_host_there(environment):
    name, _, rest = host(environment).partition(".")
    assert name == "*"
    for client in ("stackademy", "two_words", "with-hyphen"):
        made = named_host(LlmClient(ACCOUNT, client, 1), "api.example.com", environment)
        assert NAMED.fullmatch(made)
        label, _, below = made.partition(".")
        assert "." not in label
        assert below == rest


def test_it_takes_every_environment_of_the_stack():
    stack = load(Path("template.yaml"))["Parameters"]["EnvironmentName"]
    assert PARAMETERS["Environment"]["AllowedValues"] == stack["AllowedValues"]
    assert PARAMETERS["Environment"]["Default"] == ""


def test_certificate_and_domain_are_for_the_same_host():
    certificate = PROPERTIES["Certificate"]
    (option,) = certificate["DomainValidationOptions"]
    assert certificate["DomainName"] == option["DomainName"] == HOST
    assert certificate["ValidationMethod"] == "DNS"
    assert option["HostedZoneId"] == {"Ref": "HostedZoneId"}
    (configuration,) = PROPERTIES["DomainName"]["DomainNameConfigurations"]
    assert configuration == {
        "CertificateArn": {"Ref": "Certificate"},
        "EndpointType": "REGIONAL",
        "IpAddressType": "dualstack",
        "SecurityPolicy": "TLS_1_2",
    }


def test_the_whole_domain_is_mapped_to_the_api():
    assert PROPERTIES["Mapping"] == {
        "DomainName": {"Ref": "DomainName"},
        "ApiId": {"Ref": "HttpApiId"},
        "Stage": "$default",
    }


@pytest.mark.parametrize(("record", "kind"), [("Ipv4", "A"), ("Ipv6", "AAAA")])
def test_both_kinds_of_address_are_aliases_of_the_domain(record, kind):
    assert PROPERTIES[record] == {
        "HostedZoneId": {"Ref": "HostedZoneId"},
        "Name": {"Ref": "DomainName"},
        "Type": kind,
        "AliasTarget": {
            "DNSName": {"Fn::GetAtt": ["DomainName", "RegionalDomainName"]},
            "HostedZoneId": {"Fn::GetAtt": ["DomainName", "RegionalHostedZoneId"]},
            "EvaluateTargetHealth": False,
        },
    }


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("Account", [ACCOUNT], ["3141-5926", "314159265359", "*", "3141-5926-5359.alpha", ""]),
        (
            "Domain",
            ["example.com", "a.b-c.example"],
            ["Example.com", "example", "*.example.com", "example.com.", "-a.com", "a..b", ""],
        ),
        ("HttpApiId", ["abc123"], ["https://abc", "ABC", ""]),
    ],
)
def test_a_parameter_takes_only_what_it_is_for(parameter, good, bad):
    # CloudFormation matches the whole value.
    pattern = re.compile(PARAMETERS[parameter]["AllowedPattern"])
    assert all(map(pattern.fullmatch, good))
    assert not any(map(pattern.fullmatch, bad))


def test_a_domain_too_long_for_a_certificate_is_refused_before_anything_is_made():
    longest = len(host("")) - len("example.com") + PARAMETERS["Domain"]["MaxLength"]
    assert longest == 64  # ACM's bound of a certificate's first name


def test_every_parameter_is_used_and_documented():
    used = json.dumps([TEMPLATE["Resources"], TEMPLATE["Conditions"]])
    page = Path("docs/domains.md").read_text()
    for name in PARAMETERS:
        assert f'"{name}"' in used or f"${{{name}}}" in used, name
        assert f"`{name}`" in page or f"{name}=" in page, name
    for name in TEMPLATE["Outputs"]:
        assert f"`{name}`" in page, name


def test_it_is_linted():
    assert f"--template {PATH}" in Path("Makefile").read_text()
