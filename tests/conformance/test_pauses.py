"""Pauses of jobs: which are in force, and the trace of the others."""

import sqlalchemy as sa

from tests.support.ledgers import T, an_instance
from tests.support.values import a_job
from tminus.instants import SECOND
from tminus.ledger import pauses, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.ledger.tables import pauses as rows
from tminus.model.definitions import Definitions
from tminus.operations import pause as pausing
from tminus.operations import resume as resuming
from tminus.policies.pause import Pause

HOUR = 3_600 * SECOND
JOBS = {name: a_job(name) for name in ("pay", "pack")}
TWO = Definitions(paths=("jobs.yaml",), version="", text="", zone="UTC", jobs=JOBS)


def pause(
    ledger: Ledger, *jobs: str, at_ns: int = T, until_ns: int | None = None, by: str = "ann@desk"
) -> None:
    body = pausing.to_body(jobs, until_ns=until_ns, reason="CRM\0 is down")
    request = requests.add_request(ledger, RequestKind.PAUSE, body, now_ns=at_ns, by=by)
    (stored,) = requests.pending(ledger)
    assert stored == request
    requests.take(
        ledger, stored, instance=an_instance(ledger), execute=lambda to: pausing.accept(to, stored, TWO)
    )


def resume(ledger: Ledger, *jobs: str, at_ns: int) -> list[str]:
    request = requests.add_request(
        ledger, RequestKind.RESUME, resuming.to_body(jobs), now_ns=at_ns, by="bob@desk"
    )
    answer = requests.take(
        ledger, request, instance=an_instance(ledger), execute=lambda to: resuming.accept(to, request, TWO)
    )
    assert answer is not None
    return list(answer["resumed"])


def in_force(ledger: Ledger) -> dict[str, Pause]:
    with ledger.read() as connection:
        return dict(pauses.load(connection))


def trace(ledger: Ledger) -> list[tuple[object, ...]]:
    columns = (rows.c.job, rows.c.since_ns, rows.c.by, rows.c.ended_ns, rows.c.ended_by)
    with ledger.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(rows.c.id))]


def test_a_pause_has_who_asked_for_it_when_and_why(ledger: Ledger) -> None:
    pause(ledger, "pay", until_ns=T + HOUR)
    found = in_force(ledger)
    assert found == {"pay": Pause(since_ns=T, until_ns=T + HOUR, reason=r"CRM\x00 is down", by="ann@desk")}


def test_resume_ends_the_pauses_of_its_jobs_and_leaves_their_trace(ledger: Ledger) -> None:
    pause(ledger, "pay", "pack")
    assert resume(ledger, "pay", at_ns=T + HOUR) == ["pay"]
    assert in_force(ledger).keys() == {"pack"}
    assert trace(ledger) == [
        ("pay", T, "ann@desk", T + HOUR, "bob@desk"),
        ("pack", T, "ann@desk", None, None),
    ]


def test_resume_of_a_job_that_is_not_paused_changes_nothing(ledger: Ledger) -> None:
    assert resume(ledger, "pay", at_ns=T) == []
    assert trace(ledger) == []


def test_a_pause_that_is_over_ended_when_it_was_to_end(ledger: Ledger) -> None:
    pause(ledger, "pay", until_ns=T + HOUR)
    assert resume(ledger, "pay", at_ns=T + 2 * HOUR) == []
    assert trace(ledger) == [("pay", T, "ann@desk", T + HOUR, "bob@desk")]


def test_a_second_pause_takes_the_place_of_the_first(ledger: Ledger) -> None:
    pause(ledger, "pay", until_ns=T + HOUR)
    pause(ledger, "pay", at_ns=T + 1, by="bob@desk")
    assert in_force(ledger)["pay"].by == "bob@desk"
    assert trace(ledger) == [
        ("pay", T, "ann@desk", T + 1, "bob@desk"),
        ("pay", T + 1, "bob@desk", None, None),
    ]
