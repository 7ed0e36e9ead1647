"""What jobs ask for, also on a machine that gives no further thread."""

import itertools
import queue
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.daemon import eventually
from tests.support.moments import PATIENCE_S
from tests.support.new_ledgers import new_ledger
from tminus.clock import SystemClock
from tminus.daemon.processes import job_locks
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.processes.job_responses import to_response
from tminus.errors import LedgerError, LockTimeout, NotFound, TminusError, UsageError
from tminus.executors.protocol import JobRequest, JobResponse, ProcessExited
from tminus.executors.python.daemon_client import DaemonClient
from tminus.instants import SECOND

_STACK = 1 << 30
_GIVEN: dict[str, dict[str, Any]] = {
    "lock": {"app": "shop", "name": "till", "timeout_ns": 0},
    "submit": {"submissions": [{"app": "shop", "ref": "shop:work"}]},
}


@pytest.fixture
def handovers(tmp_path: Path) -> Iterator[JobRequestHandler]:
    ledger = new_ledger(tmp_path)
    made = JobRequestHandler(ledger, clock=SystemClock())
    yield made
    made.put(1, ProcessExited(pid=1), lambda _response: None)
    ledger.close()


@pytest.mark.parametrize("what", sorted(_GIVEN))
def test_what_gets_no_thread_is_answered_with_an_error_and_the_next_is_done(
    handovers: JobRequestHandler, what: str
) -> None:
    responses: list[JobResponse] = []
    has_come = threading.Event()

    def answer(said: JobResponse) -> None:
        responses.append(said)
        has_come.set()

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = threading.stack_size(_STACK)
    resource.setrlimit(resource.RLIMIT_AS, (_STACK // 2, hard))
    try:
        handovers.put(1, JobRequest(pid=1, number=1, what=what, given=_GIVEN[what]), answer)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        threading.stack_size(before)
    assert (responses[0].kind, responses[0].number) == ("LedgerError", 1)
    has_come.clear()
    handovers.put(1, JobRequest(pid=1, number=2, what=what, given=_GIVEN[what]), answer)
    assert has_come.wait(PATIENCE_S)
    assert (responses[1].kind, responses[1].number) == ("", 2)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        *((error, LedgerError) for error in (LedgerError, *LedgerError.__subclasses__())),
        (UsageError, UsageError),
        (LockTimeout, LockTimeout),
        (NotFound, TminusError),
    ],
)
def test_a_job_gets_an_error_of_the_daemon_as_the_nearest_public_class(
    raised: type[TminusError], expected: type[TminusError]
) -> None:
    def fails() -> NoReturn:
        raise raised("it does not work", hint="mend it")

    client = DaemonClient()
    client.open(lambda request: client.on_response(to_response(request, fails)))
    with pytest.raises(TminusError) as failed:
        client.send_request("submit", {})
    assert (type(failed.value), failed.value.message, failed.value.hint) == (
        expected,
        "it does not work",
        "mend it",
    )


def test_jobs_hold_and_wait_for_a_limited_number_of_locks(
    handovers: JobRequestHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_locks, "_MOST", 2)
    responses: queue.SimpleQueue[JobResponse] = queue.SimpleQueue()
    numbers = itertools.count(1)

    def lock(name: str, timeout_ns: int = 60 * SECOND) -> int:
        given, number = {"app": "shop", "name": name, "timeout_ns": timeout_ns}, next(numbers)
        handovers.put(1, JobRequest(pid=1, number=number, what="lock", given=given), responses.put)
        return number

    held = lock("till")
    assert responses.get(timeout=PATIENCE_S).kind == ""
    lock("till")  # waits
    lock("door")
    refused = responses.get(timeout=PATIENCE_S)
    assert (refused.kind, refused.value) == (
        "LockTimeout",
        "the lock was not waited for: jobs hold, or wait for, 2 locks already",
    )
    handovers.put(
        1, JobRequest(pid=1, number=next(numbers), what="unlock", given={"lock": held}), responses.put
    )
    assert {responses.get(timeout=PATIENCE_S).kind for _ in range(2)} == {
        ""
    }  # of the unlock, and of the one that waited

    def is_taken() -> bool:
        lock("door")
        return responses.get(timeout=PATIENCE_S).kind == ""

    assert eventually(is_taken)
