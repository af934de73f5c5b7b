"""The dashboards show metrics that exist, from the functions that tell them."""

import json
import re
from pathlib import Path

import pytest
from parley import observability

from tests.template.test_rules import FUNCTIONS, load

DASHBOARDS = {
    name: json.loads(resource["Properties"]["DashboardBody"]["Fn::Sub"])
    for name, resource in load(Path("infra/monitoring.yaml"))["Resources"].items()
}
METRICS = [
    metric
    for board in DASHBOARDS.values()
    for widget in board["widgets"]
    for metric in widget["properties"]["metrics"]
    if isinstance(metric[0], str)
]
OWN = [metric for metric in METRICS if metric[0].startswith("Parley")]
TOLD = Path("layers/parley/parley/observability.py").read_text()
DOCUMENTED = Path("docs/operate.md").read_text()
SERVICES = {f["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] for f in FUNCTIONS.values()}


@pytest.mark.parametrize("metric", OWN, ids=lambda metric: metric[1])
def test_a_metric_of_our_own_is_told_documented_and_of_a_function_that_exists(metric):
    assert f'"{metric[1]}"' in TOLD
    assert f"`{metric[1]}`" in DOCUMENTED
    assert metric[2] == "service"
    assert metric[3] in SERVICES


def test_every_metric_that_is_told_is_shown():
    told = set(re.findall(r'(?:add_metric|_count|single_metric)\(\s*"(\w+)"', TOLD))
    text = json.dumps(DASHBOARDS)
    assert told
    assert {name for name in told if name not in text} == set()


def test_a_search_names_all_dimensions_of_what_it_searches(monkeypatch, capsys):
    # CloudWatch finds only the metrics whose dimensions are these, no fewer and no more.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "runner")
    observability._count_failed("rate_limited")
    told = json.loads(capsys.readouterr().out)["_aws"]["CloudWatchMetrics"][0]
    (dimensions,) = told["Dimensions"]
    text = json.dumps(DASHBOARDS)
    (searched,) = re.findall(r"SEARCH\('\{[^,]+,([^}]+)\} MetricName=\W+AttemptsFailed", text)
    assert set(searched.split(",")) == set(dimensions)


def test_the_functions_have_the_names_that_the_dashboards_expect():
    named = {
        f["FunctionName"]["Fn::Sub"].replace("${AWS::StackName}", "${Stack}")
        for f in FUNCTIONS.values()
    }
    shown = {metric[3] for metric in METRICS if metric[0] == "AWS/Lambda"}
    assert shown <= named
