"""What `@scheduler.job` takes, and what it refuses at once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler.flask import Scheduler
from scheduler.flask.words import split


def followed(result: int) -> int:
    """What a `then` may name."""
    return result


def test_the_function_is_handed_back_as_it_is() -> None:
    def sync() -> int:
        return 7

    assert Scheduler().job(every="1h")(sync) is sync


def test_times_become_a_schedule_and_what_belongs_to_the_call_goes_below_it() -> None:
    keys, target = split({"cron": "30 11 * * *", "timezone": "Europe/Berlin", "tags": ("a", "b"), "kwargs": {"n": 1}})
    assert keys == {"schedule": {"cron": "30 11 * * *", "timezone": "Europe/Berlin"}, "tags": ["a", "b"]}
    assert target == {"kwargs": {"n": 1}}


def test_a_null_is_a_word_of_the_file_too() -> None:
    assert split({"timeout": None}) == ({"timeout": None}, {})


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        ([followed], [{"callback": f"{__name__}:followed"}]),
        (followed, {"callback": f"{__name__}:followed"}),
        ([{"errback": followed}, {"both": "shop:done"}], [{"errback": f"{__name__}:followed"}, {"both": "shop:done"}]),
        (
            [{"callback": {"call": followed, "kwargs": {"n": 1}}}],
            [{"callback": {"call": f"{__name__}:followed", "kwargs": {"n": 1}}}],
        ),
        ([{"errback": {"run": "page_oncall"}}], [{"errback": {"run": "page_oncall"}}]),
    ],
)
def test_a_function_that_follows_goes_by_its_name(then: Any, wanted: Any) -> None:
    assert split({"then": then})[0]["then"] == wanted


def test_what_is_changed_after_the_definition_is_not_the_job_s() -> None:
    params = {"day": "today"}
    keys, _ = split({"params": params})
    params["day"] = "never"
    assert keys["params"] == {"day": "today"}


@pytest.mark.parametrize(
    ("define", "said"),
    [
        (lambda job: job(crn="* * * * *"), "job() has no argument 'crn'; did you mean 'cron'?"),
        (
            lambda job: job(params={"since": datetime(2026, 11, 20, tzinfo=UTC)}),
            "params: Object of type datetime is not JSON serializable; a job's words are JSON",
        ),
        (
            lambda job: job(timeout=float("nan")),
            "timeout: Out of range float values are not JSON compliant; a job's words are JSON",
        ),
        (lambda job: job(cron="* * * * *", schedule="manual"), "give schedule or cron, not both"),
        (
            lambda job: job(then=[lambda result: result]),
            "then: <lambda>.<locals>.<lambda> cannot be found by its name; give a function that stands in a module",
        ),
        (lambda job: job(followed), "write @scheduler.job(), with brackets"),
        (lambda job: job()(Scheduler), "@scheduler.job is for functions, not for <class 'scheduler.flask.extension.Scheduler'>"),
    ],
)
def test_what_can_be_no_job_is_refused_at_once(define: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(TypeError) as raised:
        define(Scheduler().job)
    assert str(raised.value) == said
