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

from tests.support.logs import plain_logs
from tests.support.moments import PATIENCE_S
from tminus.daemon.log import log_output
from tminus.daemon.log.log_writer import LogWriter
from tminus.daemon.service import Service


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Another test configures its own."""
    handlers, writer = logging.getLogger().handlers[:], log_output._writer
    yield
    log_output._writer = writer
    plain_logs()
    logging.getLogger().handlers[:] = handlers


def fail() -> None:
    password = "hunter2"
    raise ValueError(f"{len(password)} letters")


def test_a_traceback_in_json_shows_no_local_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMINUS_LOG", "json")
    log_output.set_up()
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("it broke", occurrence="pay@2026-11-20T11:30:00Z")
    log_output.flush()
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"], said["exception"][0]["exc_value"]) == (
        "it broke",
        "error",
        "7 letters",
    )
    assert "hunter2" not in json.dumps(said["exception"])


def test_the_journal_gets_the_level_at_the_head_of_each_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log_output.set_up()
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("it broke", jobs=3)
    log_output.flush()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "<3>it broke jobs=3"
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize(("how", "heard"), [({"verbose": True}, 3), ({}, 2), ({"quiet": True}, 1)])
def test_how_much_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: dict[str, bool], heard: int
) -> None:
    monkeypatch.setenv("TMINUS_LOG", "json")
    log_output.set_up(**how)
    log = structlog.get_logger()
    log.debug("one")
    log.info("two")
    log.warning("three")
    log_output.flush()
    assert len(capsys.readouterr().err.splitlines()) == heard


@pytest.mark.parametrize("kind", ["JOURNAL_STREAM", "TMINUS_LOG", "terminal"])
def test_no_field_and_no_message_can_forge_a_line_or_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.setenv(kind, "json")
    log_output.set_up(color=False)
    forged = "it\n<6>batch planned_at=2026\r\x1b[2J\x9b2J\u2028<3>x"
    structlog.get_logger().error("failed", reason=forged, other=[forged], exc_info=ValueError(forged))
    log_output.flush()
    text = capsys.readouterr().err
    assert not any(line.startswith(("<6>", "batch", "<3>x", "<3>batch")) for line in text.splitlines())
    assert not set(text) & set("\r\x1b\x9b\u2028")
    assert text.count("\n") == text.count("  | ") + 1  # lines of a traceback are told from lines of the log


def test_a_reader_that_stops_costs_lines_that_are_counted_and_nobody_who_logs_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_end, write_end = os.pipe()
    writer = LogWriter(lambda event: f"{event['event']}: {'x' * 1000}", write_end)
    monkeypatch.setattr(log_output, "_writer", writer)
    assert log_output.problems() == []
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
        reads.join(PATIENCE_S)
    dropped = sum(int(line.split()[0]) for line in seen if b"dropped" in line)
    assert dropped > 10_000
    assert log_output.problems() == ["log lines were dropped in the last 24 h: the log was not read"]
    executors = SimpleNamespace(problems=lambda: ["the application shop does not work"])
    service: Any = SimpleNamespace(
        config_problem=None,
        runtime=SimpleNamespace(executors=executors),
        _beat=SimpleNamespace(problems=()),
        _deadline_watch=SimpleNamespace(problems=list),
    )
    assert Service.find_problems(service) == [*executors.problems(), *log_output.problems()]
    assert sum(line.startswith(b"line ") for line in seen) + dropped in (
        20_000,
        20_001,
    )  # the end was dropped, too, or not
