"""Invalid names and values of `scheduler.state`."""

from typing import Any

import pytest

from tminus.flask import Scheduler
from tminus.flask.state import State


def state() -> State:
    """The state of an application without a ledger."""
    return Scheduler(app="shop").state


@pytest.mark.parametrize(
    ("call", "raises", "said"),
    [
        (("incr", "a", 1.5), TypeError, "incr needs an integer; got 1.5"),
        (("incr", "a", 2**63), ValueError, "a step of 9223372036854775808 does not fit into 64 bits"),
        (("get", 3), TypeError, "a name must be a str; got 3"),
        (("get", ""), ValueError, "a name has 1 to 200 printable characters; got ''"),
        (("get", "a\nb"), ValueError, "a name has 1 to 200 printable characters"),
        (
            ("set", "a", object()),
            TypeError,
            "the value is not JSON: Object of type object is not JSON serializable",
        ),
        (
            ("set", "a", "x" * 65_536),
            ValueError,
            "a value has at most 64 KiB as JSON; this one has 65538 bytes",
        ),
        (("compare_and_set", "a", None, float("nan")), TypeError, "the value is not JSON"),
    ],
)
def test_an_invalid_name_or_value_is_refused_without_a_ledger(
    call: tuple[Any, ...], raises: type[Exception], said: str
) -> None:
    with pytest.raises(raises) as raised:
        getattr(state(), call[0])(*call[1:])
    assert str(raised.value).startswith(said)


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError) as raised:
        state().set("a", deep)
    assert str(raised.value) == "the value is not JSON: it is nested too deeply"


@pytest.mark.parametrize(
    ("timeout", "said"),
    [("soon", "timeout must be a duration"), ("2d", "timeout is at most a day; got '2d'")],
)
def test_an_invalid_timeout_of_a_lock_is_refused(timeout: str, said: str) -> None:
    with pytest.raises(ValueError, match=said), state().lock("poll", timeout=timeout):
        pass
