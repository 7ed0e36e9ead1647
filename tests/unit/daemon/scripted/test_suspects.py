"""A batch of Python jobs, one of which ends the runner that prepares it: the others run on time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T
from tests.support.scheduling import definitions_of
from tests.support.scripted import ScriptedExecutor, running
from tests.support.scripted_process import ScriptedProcess, Supervised, supervising
from tests.support.values import a_due, a_job
from tminus.daemon.batches.countdown import Countdown
from tminus.daemon.processes.channels import Channel
from tminus.daemon.processes.supervisor import Supervisor
from tminus.executors.protocol import Arm, Armed, AttemptResult, AttemptResults, Release, ShardEnded
from tminus.instants import MS, SECOND
from tminus.ledger import history
from tminus.ledger.engine import Ledger
from tminus.model.job import CallTarget
from tminus.outcome import Outcome

FINE, FATAL, GOOD = range(3)


class TwoRunners:
    """As much of `Executors` as a countdown uses: the runner in use, and one for a single use."""

    def __init__(self, in_use: Supervised, extra: Supervised) -> None:
        self._in_use = in_use
        self._extra = extra

    def executor_for(self, _target: object) -> Supervisor[Channel]:
        return self._in_use.supervisor

    def start_extra(self, _key: object) -> Supervisor[Channel]:
        return self._extra.supervisor

    def code_jobs(self) -> Mapping[str, Sequence[object]]:
        return {}


@pytest.fixture
def clock() -> FakeClock:
    """A clock that shows eight seconds before T."""
    return FakeClock(T - 8 * SECOND)


@pytest.fixture
def in_use(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[Supervised]:
    """The runner of all jobs."""
    with supervising(monkeypatch, clock) as one:
        yield one


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[Supervised]:
    """The runner for the job that ended the other one."""
    with supervising(monkeypatch, clock) as one:
        yield one


@contextmanager
def a_batch(
    ledger: Ledger, clock: FakeClock, in_use: Supervised, extra: Supervised
) -> Iterator[dict[str, tuple[Outcome | None, str | None]]]:
    """The countdown of three jobs; afterwards, the outcome of each of them and its reason."""
    # The supervisors move the clock when they wait, perhaps past T.
    jobs = [
        a_job(name, target=CallTarget(ref=f"shop:{name}"), misfire_grace_ns=3600 * SECOND)
        for name in ("fine", "fatal", "good")
    ]
    ended: dict[str, tuple[Outcome | None, str | None]] = {}
    executors = cast("ScriptedExecutor", TwoRunners(in_use, extra))
    with running(ledger, definitions_of(*jobs), executors, clock) as runtime:
        countdown = Countdown(
            runtime,
            planned_at_ns=T,
            due_occurrences=[a_due(job, fire_time_ns=T) for job in jobs],
            on_ended=lambda _: None,
        )
        countdown.start()
        yield ended
        countdown.join()
        assert runtime.recorder.flush(30)
    ended |= {one.id.job: (one.outcome, one.reason) for one in history.find(ledger)}


def takes(process: ScriptedProcess, *indices: int, one_by_one: bool = False) -> int:
    """Take the command to arm these works; return the number of their shard."""
    arm = process.commands.get(timeout=30)
    assert isinstance(arm, Arm)
    assert ([work.index for work in arm.works], arm.one_by_one) == (list(indices), one_by_one)
    return arm.shard


def arms(process: ScriptedProcess, *indices: int, one_by_one: bool = False) -> int:
    """Arm these works; return the number of their shard."""
    shard = takes(process, *indices, one_by_one=one_by_one)
    process.reports.put(Armed(shard=shard, armed=len(indices), took_ns=MS))
    return shard


def runs(process: ScriptedProcess, shard: int, *indices: int) -> None:
    """Take the permit, and report that these works have run."""
    assert process.commands.get(timeout=30) == Release(shard=shard, withdrawn=[])
    finished = [AttemptResult(index=index, started_ns=T, finished_ns=T + MS, body=b"1") for index in indices]
    process.reports.put(AttemptResults(shard=shard, finished=finished))
    process.reports.put(ShardEnded(shard=shard, released=True))


def test_a_job_that_was_being_prepared_when_its_runner_died_gets_its_own_runner(
    ledger: Ledger, clock: FakeClock, in_use: Supervised, extra: Supervised
) -> None:
    process, own = in_use.next_process(), extra.next_process()
    with a_batch(ledger, clock, in_use, extra) as ended:
        takes(process, FINE, FATAL, GOOD)
        in_use.channel.loading = (FATAL,)
        process.end(-11)
        own_shard = arms(own, FATAL, one_by_one=True)
        process = in_use.next_process()
        shard = arms(process, FINE, GOOD)
        clock.sleep_until(T)
        runs(process, shard, FINE, GOOD)
        runs(own, own_shard, FATAL)
    assert ended == dict.fromkeys(("fine", "fatal", "good"), (Outcome.SUCCEEDED, None))
    assert own.is_finished


def test_a_job_that_ends_its_own_runner_too_fails_alone(
    ledger: Ledger, clock: FakeClock, in_use: Supervised, extra: Supervised
) -> None:
    process, own = in_use.next_process(), extra.next_process()
    with a_batch(ledger, clock, in_use, extra) as ended:
        takes(process, FINE, FATAL, GOOD)
        in_use.channel.loading = extra.channel.loading = (FATAL,)
        process.end(-11)
        takes(own, FATAL, one_by_one=True)
        own.end(-11)
        extra.next_process()  # so its end is known
        process = in_use.next_process()
        shard = arms(process, FINE, GOOD)
        clock.sleep_until(T)
        runs(process, shard, FINE, GOOD)
    reason = "executor, not sent: the executor process died while it was arming the job (SIGSEGV)"
    assert ended == {
        "fine": (Outcome.SUCCEEDED, None),
        "fatal": (Outcome.FAILED, reason),
        "good": (Outcome.SUCCEEDED, None),
    }
