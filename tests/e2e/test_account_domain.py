"""An account's domain: the template deploys, leads to the HTTP API, and leaves nothing behind."""

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.stack import ROOT, Stack

SAM = ROOT / ".tools/sam/bin/sam"
SECONDS = 300


@dataclass(frozen=True)
class Zone:
    """A public hosted zone of a test."""

    id: str
    domain: str
    route53: Any

    def records(self) -> list[dict[str, Any]]:
        """Without those that every zone has."""
        found = self.route53.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return [record for record in found if record["Type"] not in {"NS", "SOA"}]


@pytest.fixture
def zone(stack: Stack) -> Iterator[Zone]:
    route53 = stack.client("route53")
    domain = f"d{secrets.token_hex(4)}.example"
    made = route53.create_hosted_zone(Name=domain, CallerReference=domain)
    id_ = made["HostedZone"]["Id"].rpartition("/")[2]
    yield Zone(id_, domain, route53)
    route53.delete_hosted_zone(Id=id_)


def deploy(stack: Stack, zone: Zone, **parameters: str) -> dict[str, str]:
    """`sam deploy` as docs/domains.md has it; the outputs."""
    name = f"domain-{zone.domain.partition('.')[0]}"
    given = {
        "HostedZoneId": zone.id,
        "Domain": zone.domain,
        "Account": stack.account,
        "HttpApiId": stack.outputs["HttpApiId"],
        **parameters,
    }
    command = [str(SAM), "deploy", "--template-file", "infra/account-domain.yaml"]
    command += ["--stack-name", name, "--region", stack.aws_region]
    command += ["--no-confirm-changeset", "--no-progressbar", "--no-fail-on-empty-changeset"]
    command += ["--parameter-overrides", *(f"{k}={v}" for k, v in given.items())]
    subprocess.run(
        command, cwd=ROOT, env=stack.environment, check=True, capture_output=True, timeout=SECONDS
    )
    described = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def delete(stack: Stack, zone: Zone) -> None:
    name = f"domain-{zone.domain.partition('.')[0]}"
    command = [str(SAM), "delete", "--stack-name", name, "--region", stack.aws_region]
    command += ["--no-prompts"]
    subprocess.run(
        command, cwd=ROOT, env=stack.environment, check=True, capture_output=True, timeout=SECONDS
    )


def hosts(stack: Stack) -> set[str]:
    found = stack.client("apigatewayv2").get_domain_names()["Items"]
    return {item["DomainName"] for item in found}


@pytest.mark.parametrize(
    ("parameters", "word"),
    [({}, ""), ({"Environment": "prod"}, ""), ({"Environment": "alpha"}, "alpha.")],
    ids=["no environment", "prod", "alpha"],
)
def test_an_accounts_domain_leads_to_the_api_and_goes_with_its_stack(
    stack: Stack, zone: Zone, parameters: dict[str, str], word: str
) -> None:
    host = f"*.{stack.account}.{word}api.{zone.domain}"
    gateway, acm = stack.client("apigatewayv2"), stack.client("acm")

    outputs = deploy(stack, zone, **parameters)
    try:
        assert outputs["Hosts"] == host
        arn = outputs["CertificateArn"]
        certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        assert certificate["DomainName"] == host
        assert certificate["SubjectAlternativeNames"] == [host]
        assert certificate["DomainValidationOptions"][0]["ValidationMethod"] == "DNS"

        (shape,) = gateway.get_domain_name(DomainName=host)["DomainNameConfigurations"]
        assert shape["CertificateArn"] == arn
        assert shape["SecurityPolicy"] == "TLS_1_2"
        assert shape["IpAddressType"] == "dualstack"
        assert shape["ApiGatewayDomainName"] == outputs["RegionalDomainName"]
        (mapping,) = gateway.get_api_mappings(DomainName=host)["Items"]
        assert (mapping["ApiId"], mapping["Stage"]) == (stack.outputs["HttpApiId"], "$default")
        assert not mapping.get("ApiMappingKey")

        records = {record["Type"]: record for record in zone.records()}
        assert {"A", "AAAA"} <= set(records)
        for kind in ("A", "AAAA"):
            assert unescaped(records[kind]["Name"]) == f"{host}."
            target = records[kind]["AliasTarget"]
            assert target["DNSName"].rstrip(".") == outputs["RegionalDomainName"]
            assert target["HostedZoneId"] == shape["HostedZoneId"]
            assert not target["EvaluateTargetHealth"]
    finally:
        delete(stack, zone)
    assert host not in hosts(stack)
    assert not [record for record in zone.records() if record["Type"] in {"A", "AAAA"}]
    with pytest.raises(acm.exceptions.ResourceNotFoundException):
        acm.describe_certificate(CertificateArn=arn)


def unescaped(name: str) -> str:
    """Route 53 lists an asterisk by its code."""
    return name.replace("\\052", "*")
