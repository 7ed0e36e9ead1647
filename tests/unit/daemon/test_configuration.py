"""The states of the configuration: what leads from one to another, and what each of them asks for."""

from collections.abc import Callable

import pytest

from tminus.daemon.configuration import ConfigState, Configuration, NextStep
from tminus.model.code_job import CodeJob

RETRY_AT_NS = 100
GOOD = [CodeJob(app="shop", name="good", file="shop.py", line=1, keys={})]
BAD = [CodeJob(app="shop", name="bad", file="shop.py", line=2, keys={})]

VALID = Configuration()
REJECTED = VALID.start_reload().reject("jobs in the code are not valid", BAD)
BROKEN = VALID.start_reload().reject("the jobs file is not valid", None)
UNWRITTEN = VALID.start_reload().fail_to_write("the ledger did not take the reload", RETRY_AT_NS)
RELOADING = VALID.start_reload()
ALL = {"valid": VALID, "rejected": REJECTED, "broken": BROKEN, "unwritten": UNWRITTEN, "reloading": RELOADING}


@pytest.mark.parametrize(
    ("configuration", "state", "is_problem"),
    [
        (VALID, ConfigState.VALID, False),
        (REJECTED, ConfigState.REJECTED, True),
        (BROKEN, ConfigState.BROKEN, True),
        (UNWRITTEN, ConfigState.UNWRITTEN, True),
        (RELOADING, ConfigState.RELOADING, False),
        (BROKEN.start_reload(), ConfigState.RELOADING, True),
        (BROKEN.start_reload().fail_to_write("it is locked", RETRY_AT_NS), ConfigState.UNWRITTEN, True),
        (UNWRITTEN.start_reload(), ConfigState.RELOADING, True),
        (BROKEN.start_reload().reject("jobs in the code are not valid", BAD), ConfigState.REJECTED, True),
        (REJECTED.start_reload().reject("the jobs file is not valid", None), ConfigState.BROKEN, True),
    ],
)
def test_the_state_follows_from_what_happened(
    configuration: Configuration, state: ConfigState, is_problem: bool
) -> None:
    assert configuration.state is state
    assert (configuration.problem is not None) is is_problem


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("before", [lambda one: one, Configuration.start_reload])
def test_what_is_adopted_is_valid(name: str, before: Callable[[Configuration], Configuration]) -> None:
    assert before(ALL[name]).adopt() == VALID


_RELOAD, _CHANGES, _CODE, _WAIT = (
    NextStep.RELOAD,
    NextStep.RELOAD_CHANGES,
    NextStep.TAKE_CODE_JOBS,
    NextStep.WAIT,
)


@pytest.mark.parametrize(
    ("name", "asked_for", "changed", "nothing", "later"),
    [
        ("valid", _RELOAD, _CHANGES, _CODE, _CODE),
        ("rejected", _RELOAD, _CHANGES, _CODE, _CODE),
        ("broken", _RELOAD, _CHANGES, _WAIT, _WAIT),
        ("unwritten", _RELOAD, _RELOAD, _WAIT, _RELOAD),
        ("reloading", _WAIT, _WAIT, _WAIT, _WAIT),
    ],
)
def test_each_state_asks_for_its_next_step(
    name: str, asked_for: NextStep, changed: NextStep, nothing: NextStep, later: NextStep
) -> None:
    before_ns, configuration = RETRY_AT_NS - 1, ALL[name]
    steps = [
        configuration.next_step(is_asked_for=True, has_changed=False, now_ns=before_ns),
        configuration.next_step(is_asked_for=False, has_changed=True, now_ns=before_ns),
        configuration.next_step(is_asked_for=False, has_changed=False, now_ns=before_ns),
        configuration.next_step(is_asked_for=False, has_changed=False, now_ns=RETRY_AT_NS),
    ]
    assert steps == [asked_for, changed, nothing, later]


def test_jobs_in_the_code_are_tried_once() -> None:
    assert VALID.may_take(BAD, in_force=GOOD)
    assert not VALID.may_take(GOOD, in_force=GOOD)
    assert not REJECTED.may_take(BAD, in_force=GOOD)
    assert not REJECTED.may_take(GOOD, in_force=GOOD)


def test_a_refused_reload_is_told_from_jobs_in_the_code_that_are_refused_alone() -> None:
    assert not VALID.reject("jobs in the code are not valid", BAD).is_reload_refused
    assert REJECTED.is_reload_refused
    assert not REJECTED.start_reload().adopt().is_reload_refused
