"""
What JSON may be stored and sent on: an object as deep and as long as the limits say, and not a level or a
byte more.
"""

from typing import Any

import pytest

from tminus.model import payload


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_what_is_deeper_or_longer_than_the_limits_is_refused() -> None:
    assert payload.dumps(nested(payload.MOST_LEVELS)).count("[") == payload.MOST_LEVELS
    for levels in (payload.MOST_LEVELS + 1, 900, 100_000):
        with pytest.raises(TypeError, match="nested more than 100 levels deep"):
            payload.dumps(nested(levels))
    assert payload.dumps("x" * 8, most_bytes=10) == '"xxxxxxxx"'
    with pytest.raises(ValueError, match=r"longer than 10 bytes as JSON \(11\)"):
        payload.dumps("x" * 9, most_bytes=10)


@pytest.mark.parametrize("value", [object(), float("nan"), {1: object()}, {(): 1}])
def test_what_is_not_json_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        payload.dumps(value)


def test_brackets_in_texts_are_no_levels() -> None:
    assert not payload.is_too_deep(payload.dumps(["[{" * 500, '\\"' + "[" * 500, {"[" * 500: "\\"}]))
    assert not payload.is_too_deep(payload.dumps([[1], {}] * 500))
