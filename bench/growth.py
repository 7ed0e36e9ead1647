"""The ledger's growth: bytes per occurrence, on each database, as the daemon writes them."""

import contextlib
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.figures import MS
from bench.installed import NotInstalled
from bench.table import Verdict, at_most
from bench.tminus_run import DaemonFailed
from bench.torture.server import private_server
from bench.waiting import SECOND
from tminus.jobsfile.load import load
from tminus.ledger import background_queue, chains, claims, instances, outcomes, submissions, upkeep
from tminus.ledger.engine import Ledger, open_ledger
from tminus.model.background import Submission
from tminus.model.batch import DueOccurrence, OccurrenceResult
from tminus.model.chain import ReturnValue
from tminus.model.job import Job
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.model.sent_request import SentRequest
from tminus.outcome import LinkState, Origin, Outcome

#: Occurrences of each kind that are measured, after as many that are not.
OCCURRENCES = 2_000
_BATCH = 10
#: A million occurrences are then eight gigabytes at most.
_MOST = 8_192
_T0 = 1_800_000_000 * SECOND
_BODY = json.dumps({"error": "no connection to the database", "trace": "x" * 1_970}).encode()
_HEADERS = (
    "HTTP/1.1 200 OK",
    "Server: nginx/1.22.1",
    "Date: Sun, 29 Nov 2026 19:00:00 GMT",
    "Content-Type: application/json; charset=utf-8",
    "Content-Length: 120",
    "Connection: keep-alive",
    "X-Request-Id: 6d3e2f5c-0b5d-4a52-9c60-3a0d1f9f1f11",
)
_REQUEST = SentRequest(
    method="POST",
    url="https://crm.example.com/api/customers/sync?day=2026-11-29",
    headers=("Accept: application/json", "Authorization: ***", "Content-Type: application/json"),
    body=json.dumps({"since": "2026-11-28T11:30:00Z", "run": "crm_sync@2026-11-29T11:30:00Z"}),
    body_size=76,
)
_JOBS = """
version: 1
jobs:
  crm_sync: {schedule: {every: 1m}, http: "https://crm.example.com/api/customers/sync"}
  crm_chain:
    schedule: {every: 1m}
    http: "https://crm.example.com/api/customers/sync"
    app: "shop:app"
    then: [{callback: "shop:synced"}, {both: "shop:release"}]
"""


@dataclass(frozen=True, slots=True)
class _Scene:
    """An empty ledger, and the jobs of which occurrences are written."""

    ledger: Ledger
    instance: str
    job: Job
    job_with_chain: Job


def measure(occurrences: int = OCCURRENCES) -> list[Verdict]:
    """Measure each kind of occurrence on each database."""
    verdicts: list[Verdict] = []
    for database in ("SQLite", "PostgreSQL"):
        for what, write in _KINDS.items():
            try:
                with _scene(database) as scene:
                    write(scene, 0, occurrences)
                    before = _settled_bytes(scene.ledger)
                    write(scene, occurrences, occurrences)
                    grown = (_settled_bytes(scene.ledger) - before) / occurrences
            except NotInstalled as error:
                return [*verdicts, Verdict(True, f"{database}: left out: {error}")]
            print(f"  {database}, {what}: {grown:.0f} bytes per occurrence", flush=True)
            verdicts.append(
                at_most(f"{database}, {what}:", grown, _MOST, unit=" bytes", of=" per occurrence")
            )
    return verdicts


@contextlib.contextmanager
def _scene(database: str) -> Iterator[_Scene]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tminus-growth-")))
        folder.chmod(0o755)  # the server runs as another user
        (folder / "jobs.yaml").write_text(_JOBS)
        jobs = load(folder / "jobs.yaml").definitions
        if jobs is None:
            raise DaemonFailed("the jobs file is not valid")
        url = f"sqlite:///{folder}/ledger/ledger.db"
        if database == "PostgreSQL":
            url = stack.enter_context(private_server(folder)).url
        ledger = stack.enter_context(contextlib.closing(open_ledger(url)))
        instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=_T0)
        yield _Scene(ledger, instance, jobs.jobs["crm_sync"], jobs.jobs["crm_chain"])


def _settled_bytes(ledger: Ledger) -> int:
    """Return the size of the tables and indexes, without what the database uses again by itself."""
    with ledger.own_connection() as connection:
        if ledger.path is not None:
            upkeep.empty_log(ledger)
            return ledger.path.stat().st_size
        connection.exec_driver_sql("VACUUM")
        size = connection.exec_driver_sql(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        return int(size.scalar_one())


def _write_batches(
    scene: _Scene, first: int, count: int, job: Job, ending: Callable[[DueOccurrence], OccurrenceResult]
) -> None:
    for start in range(first, first + count, _BATCH):
        due_occurrences = [_due(job, _T0 + number * SECOND) for number in range(start, start + _BATCH)]
        t_ns = due_occurrences[0].planned_at_ns
        token = uuid.uuid4().hex
        claim = claims.claim(
            scene.ledger, due_occurrences, planned_at_ns=t_ns, instance=scene.instance, token=token
        )
        claims.commit(scene.ledger, claim, withdrawn=[], now_ns=t_ns)
        outcomes.record(scene.ledger, [ending(due) for due in due_occurrences])


def _due(job: Job, t_ns: int) -> DueOccurrence:
    return DueOccurrence(
        id=OccurrenceId(job=job.name, fire_time_ns=t_ns),
        job=job,
        planned_at_ns=t_ns,
        origin=Origin.SCHEDULE,
        config_version="0123456789ab",
    )


def _attempt(t_ns: int, outcome: Outcome, *, reason: str | None = None, body: bytes = b"") -> Attempt:
    return Attempt(
        attempt=1,
        started_at_ns=t_ns + MS,
        finished_at_ns=t_ns + 50 * MS,
        duration_ns=49 * MS,
        armed=True,
        outcome=outcome,
        reason=reason,
        http_status=200 if reason is None else 500,
        headers=_HEADERS,
        body=body,
        body_size=len(body) or 120,
        request=_REQUEST,
    )


def _result(due: DueOccurrence, attempt: Attempt, **more: object) -> OccurrenceResult:
    values: dict[str, object] = {
        "id": due.id,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "finished_at_ns": attempt.finished_at_ns,
        "executor": "http-1@backoffice",
        "attempts": (attempt,),
    }
    return OccurrenceResult(**{**values, **more})  # type: ignore[arg-type]  # mixed values


def _http(scene: _Scene, first: int, count: int) -> None:
    _write_batches(
        scene,
        first,
        count,
        scene.job,
        lambda due: _result(due, _attempt(due.planned_at_ns, Outcome.SUCCEEDED)),
    )


def _http_with_body(scene: _Scene, first: int, count: int) -> None:
    def failed(due: DueOccurrence) -> OccurrenceResult:
        reason = "status: 500 instead of 2xx"
        return _result(due, _attempt(due.planned_at_ns, Outcome.FAILED, reason=reason, body=_BODY))

    _write_batches(scene, first, count, scene.job, failed)


def _chain(scene: _Scene, first: int, count: int) -> None:
    value = ReturnValue(text='{"count": 118}')

    def with_chain(due: DueOccurrence) -> OccurrenceResult:
        return _result(due, _attempt(due.planned_at_ns, Outcome.SUCCEEDED), chain=due.chain(value))

    _write_batches(scene, first, count, scene.job_with_chain, with_chain)
    for found in chains.find(scene.ledger):
        for position in range(2):
            for state in (LinkState.RUNNING, LinkState.SUCCEEDED):
                update = chains.LinkUpdate(
                    occurrence=found.occurrence, position=position, state=state, at_ns=_T0, value=value
                )
                chains.advance(scene.ledger, [update], ended=[])
        chains.advance(scene.ledger, [], ended=[found.occurrence])


def _background(scene: _Scene, first: int, count: int) -> None:
    given = {
        "args": [["word", 12, 34]],
        "kwargs": {},
        "request": {"method": "POST", "path": "/search", "query": {"q": "word"}, "headers": list(_HEADERS)},
    }
    for start in range(first, first + count, _BATCH):
        for number in range(start, start + _BATCH):
            work = Submission(app="shop", ref="shop:log_request", given=given)
            submissions.submit(scene.ledger, work, now_ns=_T0 + number * SECOND)
        now_ns = _T0 + (start + _BATCH) * SECOND
        due = background_queue.find_due_runs(scene.ledger, "shop", now_ns=now_ns, limit=_BATCH)
        background_queue.mark_started(scene.ledger, due, instance=scene.instance, now_ns=now_ns)
        outcomes.record(scene.ledger, [_ended(run.occurrence, now_ns) for run in due])


def _ended(identity: OccurrenceId, at_ns: int) -> OccurrenceResult:
    attempt = Attempt(
        attempt=1,
        started_at_ns=at_ns,
        finished_at_ns=at_ns + 5 * MS,
        duration_ns=5 * MS,
        armed=False,
        outcome=Outcome.SUCCEEDED,
        output=b"118 results logged\n",
    )
    return OccurrenceResult(
        id=identity,
        outcome=Outcome.SUCCEEDED,
        reason=None,
        finished_at_ns=attempt.finished_at_ns,
        executor="python-1@backoffice",
        attempts=(attempt,),
        is_background=True,
        result='{"logged": 118}',
    )


_KINDS: dict[str, Callable[[_Scene, int, int], None]] = {
    "HTTP, no body stored": _http,
    "HTTP, a body of 2 KiB stored": _http_with_body,
    "HTTP, with a chain of two links": _chain,
    "background run": _background,
}
