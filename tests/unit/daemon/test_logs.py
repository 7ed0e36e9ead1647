"""The log: JSON for machines, levels for the journal, and no local variable of anybody."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from scheduler.daemon import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Another test configures its own."""
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def fail() -> None:
    password = "hunter2"
    raise ValueError(f"{len(password)} letters")


def test_a_traceback_in_json_shows_no_local_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMINUS_LOG", "json")
    logs.set_up()
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("it broke", occurrence="pay@2026-11-20T11:30:00Z")
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"], said["exception"][0]["exc_value"]) == ("it broke", "error", "7 letters")
    assert "hunter2" not in json.dumps(said["exception"])


def test_the_journal_gets_the_level_at_the_head_of_each_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.set_up()
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("it broke", jobs=3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "<3>it broke jobs=3"
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize(("how", "heard"), [({"verbose": True}, 3), ({}, 2), ({"quiet": True}, 1)])
def test_how_much_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: dict[str, bool], heard: int
) -> None:
    monkeypatch.setenv("TMINUS_LOG", "json")
    logs.set_up(**how)
    log = structlog.get_logger()
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert len(capsys.readouterr().err.splitlines()) == heard
