"""kill -9 of the daemon between a failure and its message: the message arrives once it is back, once."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job
from tests.support.ledgers import opened
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.instants import SECOND, parse_rfc3339
from tminus.ledger.tables import notifications

TOP = "version: 1\ndaemon: {lead: 1s, reload: sighup}\n"


@contextmanager
def refusing() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def file_of(port: int, jobs: str) -> str:
    return f"{TOP}notify: {{ops: {{webhook: 'http://127.0.0.1:{port}/ops'}}}}\njobs:\n{jobs}"


def told(receiver: TargetServer) -> list[str]:
    """The jobs that messages have told of, one by one."""
    documents = [json.loads(one.body) for one in receiver.arrivals]
    return sorted(one["job"] for document in documents for one in document["data"]["occurrences"])


def is_all_delivered(running: DaemonProcess) -> bool:
    """Whether the ledger says so. A message that has just arrived may not be written as delivered yet."""
    with opened(running.ledger) as ledger, ledger.read() as connection:
        rows = connection.execute(sa.select(notifications.c.sent_ns)).all()
        return bool(rows) and all(sent_ns is not None for (sent_ns,) in rows)


def test_killed_before_the_message_is_decided(tmp_path: Path, target: TargetServer) -> None:
    # The batch does not end, so that the message about its first failure waits a moment.
    jobs = job("bad", f"{target.url}/status/503", "manual", "notify: ops")
    jobs += job("stalls", f"{target.url}/stall", "manual", "notify: ops")
    with (
        TargetServer() as receiver,
        refusing() as nobody,
        daemon(tmp_path, file_of(nobody, jobs)) as running,
    ):
        running.tminus("run-now", "bad", "stalls", "--no-wait")
        running.wait_for(job="bad", outcome="failed")
        running.kill()
        running.write(file_of(receiver.port, jobs))
        for _ in range(2):
            running.start()
            eventually(lambda: told(receiver) == ["bad", "stalls"], what="the messages")
            eventually(lambda: is_all_delivered(running), what="all is delivered")
            running.kill()
        assert told(receiver) == ["bad", "stalls"]


def test_killed_before_the_message_is_delivered(tmp_path: Path, target: TargetServer) -> None:
    jobs = job("bad", f"{target.url}/status/503", "manual", "notify: ops")
    with (
        TargetServer() as receiver,
        refusing() as nobody,
        daemon(tmp_path, file_of(nobody, jobs)) as running,
    ):
        running.tminus("run-now", "bad")
        running.wait_until_said("a notification was not delivered")
        running.kill()
        running.write(file_of(receiver.port, jobs))
        for _ in range(2):
            running.start()
            eventually(lambda: receiver.arrivals, what="the message")
            eventually(lambda: is_all_delivered(running), what="all is delivered")
            running.kill()
        assert told(receiver) == ["bad"]


def test_fire_times_that_a_stop_has_missed_are_told(tmp_path: Path, target: TargetServer) -> None:
    more = "notify: ops, misfire_grace_time: 100ms"
    with TargetServer() as receiver:
        jobs = job("tick", f"{target.url}/ok", "every: 1s", more)
        with daemon(tmp_path, file_of(receiver.port, jobs)) as running:
            last = parse_rfc3339(running.wait_for(outcome="succeeded")[0]["fire_time"])
            running.kill()
            wait_until(last + 4 * SECOND)
            running.start()

            def reported() -> set[tuple[str, str]]:
                documents = [json.loads(message.body) for message in receiver.arrivals]
                return {
                    (document["type"], one["outcome"])
                    for document in documents
                    for one in document["data"]["occurrences"]
                }

            eventually(lambda: ("failed", "missed") in reported(), what="the message")
    assert reported() <= {("failed", "missed"), ("failed", "unknown")}  # one may have run during the kill
