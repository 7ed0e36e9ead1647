"""What `scheduler.state` refuses."""

from typing import Any

import pytest

from scheduler.flask import Scheduler
from scheduler.flask.state import State


def state() -> State:
    """That of an application without a ledger."""
    return Scheduler(app="shop").state


@pytest.mark.parametrize(
    ("call", "raises", "said"),
    [
        (("incr", "a", 1.5), TypeError, "incr counts in whole numbers; got 1.5"),
        (("incr", "a", 2**63), ValueError, "a step of 9223372036854775808 does not fit into 64 bits"),
        (("get", 3), TypeError, "a name is text; got 3"),
        (("get", ""), ValueError, "a name has 1 to 200 printable characters; got ''"),
        (("get", "a\nb"), ValueError, "a name has 1 to 200 printable characters"),
        (("set", "a", object()), TypeError, "the value is not JSON: Object of type object is not JSON serializable"),
        (("set", "a", "x" * 65_536), ValueError, "a value has at most 64 KiB as JSON; this one has 65538 bytes"),
        (("compare_and_set", "a", None, float("nan")), TypeError, "the value is not JSON"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anybody_is_asked(
    call: tuple[Any, ...], raises: type[Exception], said: str
) -> None:
    with pytest.raises(raises) as raised:
        getattr(state(), call[0])(*call[1:])
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("timeout", "said"), [("soon", "timeout must be a duration"), ("2d", "a lock is waited for at most a day; got '2d'")]
)
def test_a_time_that_no_lock_is_waited_for_is_refused(timeout: str, said: str) -> None:
    with pytest.raises(ValueError, match=said), state().lock("poll", timeout=timeout):
        pass
