"""The log: JSON for machines, levels for the journal, and no local variable of anybody."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from scheduler.daemon import logs
from scheduler.daemon.log_writer import LogWriter
from scheduler.daemon.service import Service


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Another test configures its own."""
    handlers, writer = logging.getLogger().handlers[:], logs._writer
    yield
    logs._writer = writer
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
    logs.flush()
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
    logs.flush()
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
    logs.flush()
    assert len(capsys.readouterr().err.splitlines()) == heard


@pytest.mark.parametrize("kind", ["JOURNAL_STREAM", "TMINUS_LOG", "terminal"])
def test_no_field_and_no_message_of_an_exception_can_forge_a_line_or_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.setenv(kind, "json")
    logs.set_up(color=False)
    forged = "it\n<6>batch planned_at=2026\r\x1b[2J\x9b2J\u2028<3>x"
    structlog.get_logger().error("failed", reason=forged, other=[forged], exc_info=ValueError(forged))
    logs.flush()
    text = capsys.readouterr().err
    assert not any(line.startswith(("<6>", "batch", "<3>x", "<3>batch")) for line in text.splitlines())
    assert not set(text) & set("\r\x1b\x9b\u2028")
    assert text.count("\n") == text.count("  | ") + 1  # lines of a traceback are told from lines of the log


def test_a_reader_that_stops_costs_lines_that_are_counted_and_nobody_who_logs_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    writer = LogWriter(lambda event: f"{event['event']}: {'x' * 1000}", write_end)
    monkeypatch.setattr(logs, "_writer", writer)
    assert logs.problems() == []
    for number in range(20_000):  # more than the pipe and the queue hold
        writer.put({"event": f"line {number}"})
    writer.put({"event": "the end"})
    seen: list[bytes] = []
    with os.fdopen(read_end, "rb") as reader:
        reads = threading.Thread(target=lambda: seen.extend(reader), name="reads")
        reads.start()
        assert writer.flush(30)
        writer.put({"event": "it flows again"})
        assert writer.flush(30)
        os.close(write_end)
        reads.join(30)
    dropped = sum(int(line.split()[0]) for line in seen if b"dropped" in line)
    assert dropped > 10_000
    assert logs.problems() == ["log lines were dropped in the last 24 h: nobody read the log"]
    executors = SimpleNamespace(problems=lambda: ["the application shop does not work"])
    service: Any = SimpleNamespace(rejected=None, station=SimpleNamespace(executors=executors))
    assert Service.problems.fget(service) == [*executors.problems(), *logs.problems()]  # type: ignore[attr-defined]
    assert sum(line.startswith(b"line ") for line in seen) + dropped in (20_000, 20_001)  # the end was dropped, too, or not
