"""Background runs around a ledger that fails, and calls that cannot be sent: each costs itself alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import eventually
from tests.support.ledgers import an_instance
from tests.support.moments import PATIENCE_S
from tests.support.new_ledgers import new_ledger
from tests.support.runner import a_call
from tminus.clock import SystemClock
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.calls.call import CallRequest, CallResult
from tminus.daemon.calls.calls import Calls
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_locks import JobLocks
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.runs.background_runs import BackgroundRuns
from tminus.daemon.runtime import Runtime
from tminus.errors import LedgerError
from tminus.executors.protocol import JobRequest, JobResponse
from tminus.instants import SECOND
from tminus.ledger import background_queue, named_locks, submissions
from tminus.ledger.background_queue import QueuedRun
from tminus.ledger.engine import Ledger
from tminus.model.background import Submission
from tminus.model.definitions import App, Definitions
from tminus.model.job import RunnerKey
from tminus.model.occurrence import OccurrenceId
from tminus.release.gate import Gate
from tminus.secrets.redaction import Redaction


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A process that does the work of one application."""
    clock, ledger = SystemClock(), new_ledger(tmp_path)
    gate = Gate(clock)
    definitions = Definitions(
        paths=("jobs.yaml",),
        version="",
        text="",
        zone="UTC",
        apps={"shop": App(name="shop", app="shop:app", directory="/")},
    )
    return Runtime(
        clock=clock,
        ledger=ledger,
        instance=an_instance(ledger),
        definitions=definitions,
        executors=Executors(clock, job_requests=JobRequestHandler(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=gate, clock=clock),
        gate=gate,
    )


def test_a_start_that_raised_and_is_durable_is_taken_back_and_made_again(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = submissions.submit(
        runtime.ledger, Submission(app="shop", ref="shop:look"), now_ns=runtime.clock.wall_ns()
    )
    begun: list[Sequence[CallRequest]] = []
    raised: list[LedgerError] = []
    start = background_queue.mark_started

    def lost(ledger: Ledger, found: Sequence[QueuedRun], *, instance: str, now_ns: int) -> set[int]:
        numbers = start(ledger, found, instance=instance, now_ns=now_ns)
        if not raised:
            raised.append(LedgerError("the connection was lost"))
            raise raised[0]
        return numbers

    def begin(_calls: Calls, _key: RunnerKey, calls: Sequence[CallRequest], _executor: object) -> None:
        begun.append(calls)
        one.leave()

    monkeypatch.setattr(background_queue, "mark_started", lost)
    monkeypatch.setattr(Calls, "begin", begin)
    one = BackgroundRuns(runtime)
    one.start()
    eventually(lambda: begun, what="it begins")
    one.stop(0)
    assert raised
    assert [call.occurrence for calls in begun for call in calls] == [accepted.occurrence]
    runtime.ledger.close()


def test_work_that_makes_no_sense_is_refused_and_the_next_is_written_down(runtime: Runtime) -> None:
    responses: list[JobResponse] = []
    handovers = JobRequestHandler(runtime.ledger, clock=runtime.clock)
    handovers.put(
        1,
        JobRequest(pid=1, number=1, what="submit", given={"submissions": [{"what": "ever"}]}),
        responses.append,
    )
    handovers.put(
        1,
        JobRequest(
            pid=1, number=2, what="submit", given={"submissions": [{"app": "shop", "ref": "shop:look"}]}
        ),
        responses.append,
    )
    eventually(lambda: len(responses) == 2, what="both have a response")
    assert responses[0].kind == "TypeError"
    assert submissions.get_status(runtime.ledger, responses[1].value[0][0])
    runtime.ledger.close()


@pytest.mark.processes
def test_a_call_that_is_cancelled_and_cannot_be_sent_holds_up_no_other(
    runtime: Runtime, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(
        "from flask import Flask\napp = Flask('shop')\ndef look():\n    return 7\n"
    )
    app, key = App(name="shop", app="shop:app", directory=str(tmp_path)), RunnerKey("shop")
    runners = runtime.executors.start_runners([app], str(tmp_path))
    runtime.executors.use_runners(runtime.definitions, runners)
    assert runtime.executors.wait_for_reports(runners, PATIENCE_S)
    occurrence = OccurrenceId(job="look", fire_time_ns=runtime.clock.wall_ns())

    def call(owner: int, **broken: Any) -> CallRequest:
        work = replace(a_call("shop:look"), **broken)
        return CallRequest(
            owner=owner, occurrence=occurrence, work=lambda _: work, redaction=lambda _: Redaction()
        )

    calls, came = Calls(runtime, wake=lambda: None), dict[int, CallResult]()
    calls.begin(key, [call(1, job=object()), call(2)])
    calls.stop(1)

    def all_came() -> bool:
        came.update({one.owner: one for one in calls.take_results()})
        return len(came) == 2

    eventually(all_came, what="both have ended")
    runtime.executors.stop()
    assert came[1].failed == "it cannot be sent to its executor: object"
    assert came[2].finished
    assert came[2].finished.body == b"7"
    runtime.ledger.close()


def test_a_lock_is_given_back_by_its_holder_though_a_namesake_has_waited_and_died(
    runtime: Runtime,
) -> None:
    ledger, responses, locks = runtime.ledger, list[JobResponse](), JobLocks(runtime.ledger)

    def lock(name: str) -> JobRequest:
        return JobRequest(
            pid=7, number=1, what="lock", given={"app": "shop", "name": name, "timeout_ns": 200 * SECOND}
        )

    free_poll = named_locks.acquire(ledger, "shop", "poll", 0)
    locks.take(7, lock("poll"), responses.append)
    locks.end_process(7, 7)
    locks.take(7, lock("other"), responses.append)
    eventually(lambda: len(responses) == 1, what="the second has its lock")
    free_poll()
    named_locks.acquire(ledger, "shop", "poll", 200 * SECOND)()
    eventually(lambda: len(responses) == 2, what="the wait of the dead one is over")
    locks.release(7, JobRequest(pid=7, number=2, what="unlock", given={"lock": 1}), responses.append)
    named_locks.acquire(ledger, "shop", "other", 200 * SECOND)()
    ledger.close()
