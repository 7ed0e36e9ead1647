"""The options of `@scheduler.job`: how they become JSON, and which are refused at once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tminus.flask import Scheduler, background
from tminus.flask.job_options import RetryOptions, split_options
from tminus.jobsfile.jobs.schema import RetrySpec
from tminus.jobsfile.types.maps import map_keys


def followed(result: int) -> int:
    """A function that `then` can name."""
    return result


def test_the_decorator_returns_the_function_itself() -> None:
    def sync() -> int:
        return 7

    assert Scheduler().job(every="1h")(sync) is sync


def test_options_of_schedule_and_call_are_grouped() -> None:
    keys, target = split_options(
        {"cron": "30 11 * * *", "timezone": "Europe/Berlin", "tags": ("a", "b"), "kwargs": {"n": 1}}
    )
    assert keys == {"schedule": {"cron": "30 11 * * *", "timezone": "Europe/Berlin"}, "tags": ["a", "b"]}
    assert target == {"kwargs": {"n": 1}}


def test_none_becomes_null() -> None:
    assert split_options({"timeout": None}) == ({"timeout": None}, {})


def test_channels_are_named() -> None:
    assert split_options({"notify": ["ops"]}) == ({"notify": ["ops"]}, {})


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        ([followed], [{"callback": f"{__name__}:followed"}]),
        (followed, [{"callback": f"{__name__}:followed"}]),
        (
            [{"errback": followed}, {"both": "shop:done"}],
            [{"errback": f"{__name__}:followed"}, {"both": "shop:done"}],
        ),
        (
            [{"callback": {"call": followed, "kwargs": {"n": 1}}}],
            [{"callback": {"call": f"{__name__}:followed", "kwargs": {"n": 1}}}],
        ),
        ([{"errback": {"run": "page_oncall"}}], [{"errback": {"run": "page_oncall"}}]),
    ],
)
def test_functions_in_a_chain_become_names(then: Any, wanted: Any) -> None:
    assert split_options({"then": then})[0]["then"] == wanted


class Busy(ConnectionError):
    """An exception that `retry_on` can name."""


@pytest.mark.parametrize(
    ("retry", "wanted"),
    [
        (3, {"max_attempts": 3}),
        (
            {"max_attempts": 2, "retry_on": [Busy, "timeout", 503]},
            {"max_attempts": 2, "retry_on": [f"{__name__}.Busy", "timeout", 503]},
        ),
        (None, None),
    ],
)
def test_exceptions_in_a_retry_policy_become_names(retry: Any, wanted: Any) -> None:
    assert split_options({"retry": retry})[0]["retry"] == wanted


def test_an_unknown_key_of_a_retry_policy_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"retry has no key 'max_attempt'; did you mean"):
        background(retry={"max_attempt": 3})  # type: ignore[call-overload]


def test_the_map_keys_a_retry_policy_are_those_of_the_jobs_file() -> None:
    assert list(RetryOptions.__annotations__) == map_keys(RetrySpec)


def nested(levels: int) -> list[Any]:
    """Return an empty list in this many lists."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_later_changes_of_a_value_do_not_change_the_job() -> None:
    params = {"day": "today"}
    keys, _ = split_options({"params": params})
    params["day"] = "never"
    assert keys["params"] == {"day": "today"}


@pytest.mark.parametrize(
    ("define", "said"),
    [
        (lambda job: job(crn="* * * * *"), "job() has no argument 'crn'; did you mean 'cron'?"),
        (
            lambda job: job(params={"since": datetime(2026, 11, 20, tzinfo=UTC)}),
            "params: Object of type datetime is not JSON serializable; the options of a job must be JSON",
        ),
        (
            lambda job: job(timeout=float("nan")),
            "timeout: Out of range float values are not JSON compliant; the options of a job must be JSON",
        ),
        (
            lambda job: job(params={"deep": nested(100_000)}),
            "params: nested more than 100 levels deep; the options of a job must be JSON",
        ),
        (lambda job: job(cron="* * * * *", schedule="manual"), "give schedule or cron, not both"),
        (
            lambda job: job(then=[lambda result: result]),
            "then: <lambda>.<locals>.<lambda> must be defined at the top level of a module",
        ),
        (lambda job: job(followed), "write @scheduler.job(), with brackets"),
        (
            lambda job: job()(Scheduler),
            "@scheduler.job needs a function, not <class 'tminus.flask.extension.Scheduler'>",
        ),
    ],
)
def test_an_invalid_option_is_refused_at_once(define: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(TypeError) as raised:
        define(Scheduler().job)
    # Python 3.12 and later name the number.
    assert str(raised.value).replace("compliant: nan;", "compliant;") == said
