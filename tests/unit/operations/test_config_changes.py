"""What differs between two versions of the configuration."""

import json
from typing import Any

from tminus.operations.config_changes import compare


def text(jobs: dict[str, Any], code: list[dict[str, Any]] | None = None) -> str:
    """The text of a version, as the ledger has it."""
    return json.dumps({"version": 1, "timezone": "UTC", "jobs": jobs} | ({"code": code} if code else {}))


def test_jobs_that_came_went_and_changed_are_named_with_their_keys() -> None:
    found = compare(
        text({"a": {"http": {"url": "x", "method": "GET"}}, "b": {}, "c": {"tags": [1]}}),
        text({"a": {"http": {"url": "y", "method": "GET"}, "timeout": "1m"}, "c": {"tags": [1]}, "d": {}}),
    )
    assert (found.added, found.removed) == (["d"], ["b"])
    assert found.changed == {"a": ["http.url", "timeout"]}


def test_a_key_with_null_that_came_or_went_is_a_change() -> None:
    without, with_null = text({"a": {"params": {"b": 1}}}), text({"a": {"params": {"b": 1, "c": None}}})
    assert compare(without, with_null).changed == {"a": ["params.c"]}
    assert compare(with_null, without).changed == {"a": ["params.c"]}


def test_jobs_in_code_count_like_those_of_the_file() -> None:
    job = {"name": "nightly", "app": "shop", "keys": {"schedule": {"every": "1h"}}}
    later = {**job, "keys": {"schedule": {"every": "2h"}}}
    assert compare(text({}), text({}, [job])).added == ["nightly"]
    assert compare(text({}, [job]), text({}, [later])).changed == {"nightly": ["schedule.every"]}


def test_the_same_configuration_has_no_changes() -> None:
    same = text({"a": {"http": "x"}})
    assert compare(same, same).as_json() == {"added": [], "removed": [], "changed": {}}
