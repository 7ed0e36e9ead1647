"""The processes that run jobs on a ledger, or ran them last."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.ledgers import T
from tminus import __version__
from tminus.instants import SECOND
from tminus.ledger import instances
from tminus.ledger.engine import Ledger
from tminus.ledger.instances import Instance


def register(ledger: Ledger, *, kind: str = "daemon", now_ns: int = T) -> str:
    return instances.register(ledger, kind=kind, config_version="0123456789ab", now_ns=now_ns)


def latest(ledger: Ledger, kind: str | None = None) -> Instance:
    found = instances.latest(ledger, kind=kind)
    assert found is not None
    return found


def test_nobody_has_run_on_an_empty_ledger(ledger: Ledger) -> None:
    assert instances.latest(ledger) is None


def test_a_process_is_written_down_with_all_that_one_looks_for(ledger: Ledger) -> None:
    identity = register(ledger)
    assert latest(ledger) == Instance(
        id=identity,
        kind="daemon",
        pid=os.getpid(),
        host=socket.gethostname(),
        version=__version__,
        config_version="0123456789ab",
        config_error=None,
        started_ns=T,
        beat_ns=T,
        stopped_ns=None,
    )


def test_the_latest_is_the_one_that_started_last(ledger: Ledger) -> None:
    register(ledger, kind="run-now", now_ns=T)
    newest = register(ledger, now_ns=T + SECOND)
    assert latest(ledger).id == newest
    assert latest(ledger, kind="run-now").started_ns == T


def test_it_is_fresh_as_long_as_it_beats(ledger: Ledger) -> None:
    identity = register(ledger)
    assert latest(ledger).is_fresh(T + instances.STALE_NS - 1)
    assert not latest(ledger).is_fresh(T + instances.STALE_NS)
    instances.record_heartbeat(ledger, identity, T + instances.HEARTBEAT_NS)
    assert latest(ledger).is_fresh(T + instances.STALE_NS)


def test_one_that_has_stopped_is_not_fresh(ledger: Ledger) -> None:
    instances.record_stop(ledger, register(ledger), T + 1)
    assert not latest(ledger).is_fresh(T + 1)


def test_one_that_stops_is_stopping_as_long_as_it_beats(ledger: Ledger) -> None:
    identity = register(ledger)
    assert not latest(ledger).is_stopping(T + 1)
    instances.record_stop(ledger, identity, T + 1)
    assert latest(ledger).is_stopping(T + 2)
    assert not latest(ledger).is_stopping(T + instances.STALE_NS)


@pytest.mark.processes
def test_another_process_that_still_beats_may_run_unless_its_host_knows_better(ledger: Ledger) -> None:
    register(ledger)
    mine, now_ns = latest(ledger), T + SECOND
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not mine.may_run(now_ns)
    assert replace(mine, pid=os.getppid()).may_run(now_ns)
    assert not replace(mine, pid=ended.pid).may_run(now_ns)
    assert replace(mine, pid=ended.pid, host="elsewhere").may_run(now_ns)
    assert not replace(mine, pid=ended.pid, host="elsewhere").may_run(T + instances.STALE_NS)


def test_a_configuration_that_was_refused_keeps_the_version_in_force(ledger: Ledger) -> None:
    identity = register(ledger)
    instances.set_problems(ledger, identity, problems=["jobs.yaml:3:1: no", "shop does not import"])
    assert (latest(ledger).config_version, latest(ledger).config_error) == (
        "0123456789ab",
        "jobs.yaml:3:1: no\nshop does not import",
    )
    instances.set_config_version(ledger, identity, version="ba9876543210")
    instances.set_problems(ledger, identity, problems=[])
    assert (latest(ledger).config_version, latest(ledger).config_error) == ("ba9876543210", None)


def test_a_problem_is_stored_whatever_characters_an_application_has_put_into_it(ledger: Ledger) -> None:
    identity = register(ledger)
    instances.set_problems(ledger, identity, problems=["no module 'caf\udce9'", "a\0b"])
    assert latest(ledger).config_error == "no module 'caf\\udce9'\na\\x00b"


def test_the_latest_is_who_started_last_though_the_clock_was_set_back_meanwhile(ledger: Ledger) -> None:
    instances.record_stop(ledger, register(ledger), T)
    identity = register(ledger, now_ns=T - 3600 * SECOND)
    assert latest(ledger).id == identity


def test_the_costs_of_arming_are_those_that_were_learned_last(ledger: Ledger) -> None:
    assert instances.arming_costs(ledger) is None
    older = register(ledger)
    instances.set_arming_costs(ledger, older, costs="1")
    newer = register(ledger, now_ns=T + SECOND)
    assert instances.arming_costs(ledger) == "1"
    instances.set_arming_costs(ledger, newer, costs="2")
    assert instances.arming_costs(ledger) == "2"
