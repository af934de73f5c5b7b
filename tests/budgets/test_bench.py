"""The benchmarks' own setting works: what it measures is a prompt's whole way."""

from bench.engine import functions


def test_the_measured_handlers_answer_a_prompt() -> None:
    with functions() as made:
        assert made.post(id="p", threadId="t")["statusCode"] == 200
        made.run(made.records(10))
        answer = made.post(id="p", threadId="t")
    assert '"status":"completed"' in answer["body"]
