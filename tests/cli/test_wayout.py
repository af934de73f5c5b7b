"""What helps on after a refusal goes by its code, as the product's own API gives it."""

from collections.abc import Iterator

import pytest
from parley.core.errors import ParleyError
from parley.wire.errors import code_of
from parley_cli.wayout import WAYS

from tests.cli.conftest import Run


def codes(kind: type[ParleyError] = ParleyError) -> Iterator[str]:
    for narrower in kind.__subclasses__():
        yield code_of(narrower)
        yield from codes(narrower)


def test_every_way_out_is_of_a_code_that_the_api_gives() -> None:
    assert WAYS.keys() <= set(codes())


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        ("prompts show nope", 4, "no_such_prompt"),
        (f"sessions show ses_{'0' * 40}", 4, "no_such_session"),
        ("sessions list --llm-client nope", 4, "no_such_llm_client"),
        ("prompt hello --model nope --no-wait", 1, "unknown_model"),
        ("prompts list --after nope", 1, "wrong_cursor"),
        ("threads list --after nope", 1, "wrong_cursor"),
        ("sessions list --after nope", 1, "wrong_cursor"),
        ("get llmclients --after nope", 1, "wrong_cursor"),
        ("get models --after nope", 1, "wrong_cursor"),
    ],
)
def test_a_refusal_comes_with_its_way_out(
    run_real: Run, words: str, exit_code: int, code: str
) -> None:
    told = run_real(*words.split())
    assert (told.exit_code, told.stderr.endswith(f"; {WAYS[code]}\n")) == (exit_code, True)
    assert f'"code": "{code}"' in run_real(*words.split(), "--json").stderr


@pytest.mark.parametrize("words", ["describe Plugin nope", "delete plugin nope --yes"])
def test_an_absent_manifest_comes_with_the_list_of_its_kind(run_real: Run, words: str) -> None:
    told = run_real(*words.split())
    kind = words.split()[1]
    way = f"error: there is no Plugin nope; `parley get {kind}` lists what there is\n"
    assert (told.exit_code, told.stderr) == (4, way)
    assert '"code": "no_such_resource"' in run_real(*words.split(), "--json").stderr
    assert "lists what there is" not in run_real("get", "zebras").stderr


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ("prompts show nope", "parley prompts list --all"),
        ("threads show nope", "parley threads list"),
        ("threads delete nope --yes", "parley threads list"),
        ("dlq redrive nope", "parley dlq list"),
        ("sessions show nope", "parley sessions list"),
        ("sessions delete nope --yes", "parley sessions list"),
    ],
)
def test_an_absent_thing_comes_with_the_way_to_those_there_are(run: Run, words, way):
    result = run(*words.split())
    assert (result.exit_code, way in " ".join(result.stderr.split())) == (4, True)
