"""Links of a chain and the values that flow through them."""

import json

import pytest

from tminus.model.chain import (
    Failure,
    Function,
    Handler,
    Link,
    ReturnValue,
    StartJob,
    TargetResponse,
    Value,
    value_of,
)

DONE = Function(ref="hooks:done")
PAGE = StartJob("page")


@pytest.mark.parametrize(
    ("link", "of_result", "of_failure"),
    [
        (Link(callback=DONE), DONE, None),
        (Link(errback=PAGE), None, PAGE),
        (Link(callback=DONE, errback=PAGE), DONE, PAGE),
        (Link(callback=DONE, errback=DONE), DONE, DONE),
    ],
)
def test_a_result_is_for_the_callback_and_a_failure_for_the_errback(
    link: Link, of_result: Handler | None, of_failure: Handler | None
) -> None:
    assert link.handler_for(failure=False) is of_result
    assert link.handler_for(failure=True) is of_failure


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (Link(callback=DONE), "callback hooks:done"),
        (Link(errback=PAGE), "errback run page"),
        (Link(callback=DONE, errback=PAGE), "callback hooks:done, errback run page"),
        (Link(callback=PAGE, errback=PAGE), "both run page"),
    ],
)
def test_a_link_is_shown_in_the_words_of_the_file(link: Link, text: str) -> None:
    assert str(link) == text


@pytest.mark.parametrize(
    "value",
    [
        ReturnValue(text="null"),
        ReturnValue(text='{"failure": 1}'),
        TargetResponse(status=204, headers=("A: b", "A: c"), text="ä\0"),
        Failure(outcome="failed", kind="status", message="500"),
    ],
)
def test_what_flows_comes_back_from_json_as_it_was(value: Value) -> None:
    assert value_of(value.as_text()) == value
    json.loads(value.as_text())
