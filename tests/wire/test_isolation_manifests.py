"""What somebody would try with a manifest: bombs, names and origins that mean more, secrets."""

import json

import pytest
from parley.core.errors import ParleyError
from parley.wire.manifests.parsing import parsed

from tests.wire.twins import API, Twins

SECRET = "apiVersion: smarter.sh/v1\nkind: Secret\nmetadata: {name: x, description: null}\nspec:\n"
PLANTED = "planted-s3cret"


@pytest.mark.parametrize(
    "spec",
    [
        "config:\n    value: !planted-s3cret\n",
        "config:\n    value: !!planted-s3cret x\n",
        "config: {value: &planted-s3cret x}",
        "config: {value: *planted-s3cret}",
        "config: {value: 'planted-s3cret}",
        "config: {value: @planted-s3cret}",
        'config: {value: "\\qplanted-s3cret"}',
        "config: {value: planted: s3cret, x: planted-s3cret}",
        "config: {value: [planted-s3cret]}",
        "config: {value: x, expiration_date: planted-s3cret}",
        "config: planted-s3cret",
        f"config: {{value: {PLANTED * 1000}}}",
    ],
)
def test_no_refusal_of_a_manifest_repeats_a_secret(spec: str) -> None:
    with pytest.raises(ParleyError) as refused:
        parsed(f"{SECRET}  {spec}", local_providers=True)
    assert PLANTED not in str(refused.value)


CLIENT = {
    "apiVersion": "smarter.sh/v1",
    "kind": "LLMClient",
    "metadata": {"name": "x", "description": None},
    "spec": {"config": {}},
}


@pytest.mark.parametrize(
    "origin",
    [
        "https://*.example",
        "*",
        "null",
        "https://a@b.example",
        "http://good.example",
        "https://good.example/",
        "https://good.example?",
        "https://good.example#",
        "https://good.example\\.evil",
        "https://good.example;script-src",
        "https://good.example,https://evil.example",
        "https://good.example'",
        "https://good\u0435.example",
        "javascript://x",
        "data:text/html,x",
        "https://",
    ],
)
def test_an_origin_that_could_mean_more_is_refused(origin: str) -> None:
    manifest = {**CLIENT, "spec": {"config": {}, "allowedOrigins": [origin]}}
    with pytest.raises(ParleyError, match="allowedOrigins"):
        parsed(json.dumps(manifest), local_providers=True)


@pytest.mark.parametrize(
    "name", ["a" * 2**19, "a_b-c", "xn--x", "www", "7", "-a", "a.b", "a\n", "\u0430", "a/b", ""]
)
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    manifest = {**CLIENT, "metadata": {"name": name, "description": None}}
    with pytest.raises(ParleyError, match=r"metadata\.name") as refused:
        parsed(json.dumps(manifest), local_providers=True)
    assert len(str(refused.value)) < 300


def test_two_names_of_one_label_cannot_be_applied(twins: Twins) -> None:
    """Not after the other, and not in one call."""
    two = [{**CLIENT, "metadata": {"name": n, "description": None}} for n in ("a_b", "A-B")]
    for body in (two, {**CLIENT, "metadata": {"name": "other-bot", "description": None}}):
        reply = twins.ask("POST", "/api/v1/cli/apply/", body, host=API, credential="admin-key")
        assert reply.status == 400
        assert "has the same label in its host" in reply.text


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "[" * 500_000,
        "\n".join(" " * depth + "a:" for depth in range(200)),
        "{" * 500_000,
        "a: !!python/object/apply:os.system [x]",
        "--- x\n" * 101,
        "kind: " + "a" * 1_000_000,
        "kind: User\nspec: {" + ", ".join(f"f{n}: 1" for n in range(5_000)) + "}",
    ],
    ids=range(8),
)
def test_a_bomb_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(ParleyError) as refused:
        parsed(text, local_providers=True)
    assert len(str(refused.value)) < 2000
