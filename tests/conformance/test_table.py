"""The table that the stores are tested on is the one that the template makes."""

from pathlib import Path
from typing import Any

import yaml

from tests.conformance.table import definition

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions as their plain arguments."""


def _plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node)


_Loader.add_multi_constructor("!", _plain)


def test_the_template_makes_the_tested_table() -> None:
    template = yaml.load(TEMPLATE.read_text(), _Loader)
    (table,) = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::DynamoDB::Table"
    ]
    tested = definition()

    def by_name(attributes: list[dict[str, str]]) -> list[dict[str, str]]:
        return sorted(attributes, key=lambda attribute: attribute["AttributeName"])

    assert table["KeySchema"] == tested["KeySchema"]
    assert table["GlobalSecondaryIndexes"] == tested["GlobalSecondaryIndexes"]
    assert by_name(table["AttributeDefinitions"]) == by_name(tested["AttributeDefinitions"])
    assert table["TimeToLiveSpecification"]["AttributeName"] == "expires_at"
