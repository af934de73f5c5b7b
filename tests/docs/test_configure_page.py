"""The configuration page shows the template's parameters as they are."""

import re
from pathlib import Path

from tests.template.test_rules import MAIN

PAGE = Path("docs/configure.md")
MARKED = re.compile(r"(<!-- parameters: .*? -->\n)(.*?)(<!-- /parameters -->)", re.DOTALL)
GROUPS = MAIN["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]


def allowed(parameter: dict) -> str:
    if "AllowedValues" in parameter:
        return ", ".join(str(value) for value in parameter["AllowedValues"])
    bounds = [parameter.get("MinValue"), parameter.get("MaxValue")]
    if bounds == [None, None]:
        return ""
    return f"{'' if bounds[0] is None else bounds[0]} … {'' if bounds[1] is None else bounds[1]}"


def table() -> str:
    rows = ["| parameter | default | allowed | meaning |", "|---|---|---|---|"]
    for group in GROUPS:
        rows.append(f"| **{group['Label']['default']}** | | | |")
        for name in group["Parameters"]:
            parameter = MAIN["Parameters"][name]
            default = f"`{parameter['Default']}`" if parameter["Default"] != "" else ""
            meaning = parameter.get("Description", "")
            rows.append(f"| `{name}` | {default} | {allowed(parameter)} | {meaning} |")
    return "\n".join(rows) + "\n"


def test_every_parameter_is_in_a_group():
    grouped = [name for group in GROUPS for name in group["Parameters"]]
    assert sorted(grouped) == sorted(MAIN["Parameters"])


def test_the_page_shows_every_parameter_with_its_default_and_bounds():
    found = MARKED.search(PAGE.read_text())
    assert found, "the marks are gone"
    assert found[2] == table(), "run: python -m tests.docs.test_configure_page"


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(MARKED.sub(lambda match: match[1] + table() + match[3], page))
