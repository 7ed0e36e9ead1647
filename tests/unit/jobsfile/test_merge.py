"""The laws of merging."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.jobsfile.text.merge import merge

KEYS = st.sampled_from("abcde")
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=3),
    lambda inner: st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=5)


def without_nulls(value: Any) -> Any:
    return (
        {key: without_nulls(item) for key, item in value.items() if item is not None}
        if isinstance(value, dict)
        else value
    )


@given(MAPS)
def test_nothing_over_a_map_is_that_map(below: dict[str, Any]) -> None:
    assert merge(below, {}) == below


@given(MAPS)
def test_a_map_over_nothing_is_that_map(above: dict[str, Any]) -> None:
    assert merge({}, above) == above


@given(MAPS)
def test_a_map_over_itself_is_itself(both: dict[str, Any]) -> None:
    assert merge(without_nulls(both), without_nulls(both)) == without_nulls(both)


LEVEL = st.fixed_dictionaries(
    {}, optional={key: st.integers() | st.lists(st.integers(), max_size=2) for key in "ab"}
)
LEVELS = st.fixed_dictionaries(
    {}, optional={"a": st.integers(), "b": LEVEL, "c": st.fixed_dictionaries({}, optional={"d": LEVEL})}
)


@given(LEVELS, LEVELS, LEVELS)
def test_merging_is_associative_if_no_key_changes_its_type(a: Any, b: Any, c: Any) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(MAPS, MAPS)
def test_null_removes_and_all_else_stands_above(below: dict[str, Any], above: dict[str, Any]) -> None:
    result = merge(below, above)
    for key, value in above.items():
        if value is None and key in below:
            assert key not in result
        elif not isinstance(value, dict):
            assert result[key] == value
    for key in below.keys() - above.keys():
        assert result[key] == below[key]


@given(MAPS, MAPS)
def test_neither_map_is_changed(below: dict[str, Any], above: dict[str, Any]) -> None:
    before = deepcopy((below, above))
    merge(below, above)
    assert (below, above) == before


def test_lists_replace() -> None:
    assert merge({"tags": ["a", "b"]}, {"tags": ["c"]}) == {"tags": ["c"]}


def test_a_map_and_something_else_replace_each_other() -> None:
    assert merge({"a": {"b": 1}}, {"a": 1}) == {"a": 1}
    assert merge({"a": 1}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_a_null_that_removes_nothing_is_a_value() -> None:
    assert merge({"http": {"json": {"a": 1}}}, {"http": {"json": {"b": None}}}) == {
        "http": {"json": {"a": 1, "b": None}}
    }


def test_keys_exclude_each_other_in_their_own_map_only() -> None:
    assert merge({"schedule": {"cron": "x", "timezone": "UTC"}}, {"schedule": {"every": 5}}) == {
        "schedule": {"timezone": "UTC", "every": 5}
    }
    assert merge({"schedule": {"cron": "x"}}, {"schedule": {"every": None}}) == {
        "schedule": {"cron": "x", "every": None}
    }
    assert merge({"params": {"schedule": {"cron": "x"}}}, {"params": {"schedule": {"every": 5}}}) == {
        "params": {"schedule": {"cron": "x", "every": 5}}
    }


@pytest.mark.parametrize(
    ("path", "below", "above", "merged"),
    [
        (("http",), {"form": {"a": "1"}, "url": "x"}, {"body_file": "f"}, {"url": "x", "body_file": "f"}),
        (("flask",), {"json": {"a": 1}, "url": "/"}, {"form": {"b": "2"}}, {"url": "/", "form": {"b": "2"}}),
        (("flask",), {"endpoint": "e", "args": {"n": 1}, "app": "a"}, {"url": "/"}, {"app": "a", "url": "/"}),
        (("flask",), {"url": "/"}, {"endpoint": "e", "args": {"n": 1}}, {"endpoint": "e", "args": {"n": 1}}),
        (("flask",), {"endpoint": "e"}, {"args": {"n": 1}}, {"endpoint": "e", "args": {"n": 1}}),
        (("call", "request"), {"body": "x", "path": "/"}, {"json": [1]}, {"path": "/", "json": [1]}),
        (("call", "request"), {"body": "x"}, {"json": 1, "body": "y"}, {"json": 1, "body": "y"}),
    ],
)
def test_the_later_one_of_keys_that_exclude_each_other_replaces_the_earlier(
    path: tuple[str, ...], below: Any, above: Any, merged: Any
) -> None:
    for key in reversed(path):
        below, above, merged = {key: below}, {key: above}, {key: merged}
    assert merge(below, above) == merged
