"""
What a type checker knows of a function that can be handed over. `make lint` reads this: an error that is not
there is one, too.
"""

from typing import assert_type

import pytest

from tminus.flask import RunHandle, background


@background
def look(word: str, *, times: int = 1) -> list[str]:
    """An example."""
    return [word] * times


def test_calling_it_is_what_it_was() -> None:
    assert_type(look("shoes", times=2), list[str])
    assert look("shoes", times=2) == ["shoes", "shoes"]


def _never() -> None:
    """Only read."""
    assert_type(look.submit("shoes", times=2), RunHandle)
    assert_type(look.submit("shoes", delay="15s"), RunHandle)
    look.submit(1)  # type: ignore[call-overload]


def test_arguments_that_it_does_not_take_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'time'"):
        look.submit("shoes", time=2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="missing a required argument: 'word'"):
        look.submit()  # type: ignore[call-overload]
