"""Ledgers with something in them."""

from collections.abc import Sequence

from scheduler.instants import MS, SECOND
from scheduler.ledger import claims, instances, outcomes
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Ended
from scheduler.model.occurrence import Attempt, OccurrenceId
from scheduler.outcome import Outcome
from tests.support.values import a_due, a_job

T = 1_763_638_200 * SECOND  # 2025-11-20T11:30:00Z


def run_batch(
    ledger: Ledger, offsets_ms: Sequence[float], *, planned_at_ns: int = T, outcome: Outcome = Outcome.SUCCEEDED
) -> list[OccurrenceId]:
    """A batch that has run: one job an offset, named `job_0`, `job_1`, …"""
    dues = [a_due(a_job(f"job_{index}"), fire_time_ns=planned_at_ns) for index in range(len(offsets_ms))]
    instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=planned_at_ns - SECOND)
    release = claims.claim(ledger, dues, planned_at_ns=planned_at_ns, instance=instance)
    claims.commit(ledger, release, withdrawn=[], now_ns=planned_at_ns - 250 * MS)
    ended = []
    for due, offset_ms in zip(dues, offsets_ms, strict=True):
        started_ns = planned_at_ns + round(offset_ms * MS)
        reason = None if outcome is Outcome.SUCCEEDED else "status: 503 instead of 2xx"
        attempt = Attempt(
            attempt=1,
            started_at_ns=started_ns,
            finished_at_ns=started_ns + 5 * MS,
            duration_ns=5 * MS,
            armed=True,
            outcome=outcome,
            reason=reason,
            http_status=200 if outcome is Outcome.SUCCEEDED else 503,
            headers=("HTTP/1.1 503 X", "Content-Length: 4"),
            body=b"" if outcome is Outcome.SUCCEEDED else b"busy",
            body_size=4,
        )
        finished_at_ns = attempt.finished_at_ns
        ended.append(
            Ended(
                id=due.id,
                outcome=outcome,
                reason=reason,
                finished_at_ns=finished_at_ns,
                executor="http-1@here",
                attempts=(attempt,),
            )
        )
    outcomes.record(ledger, ended)
    return [due.id for due in dues]
