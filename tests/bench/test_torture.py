"""
The judge of the torture rounds: a made-up round with each kind of violation is found out, and one without is
not.
"""

import http.client
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.torture.disks import filled, small_disks
from bench.torture.judge import Evidence, Row, instant_ns, judge
from bench.torture.users import RunNow, Submitted
from bench.torture.witness import Arrival, Witness
from bench.waiting import SECOND
from tests.support.moments import PATIENCE_S
from tests.support.other_process import another_process

T_NS = 1_795_000_000 * SECOND
PERIOD_S = 2


def _instant(second: float) -> str:
    at_ns = T_NS + round(second * SECOND)
    fraction = f".{at_ns % SECOND:09}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(at_ns // SECOND, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _row(second: float, outcome: str | None = "succeeded", *, job: str = "job", **more: Any) -> Row:
    """A finished row of a job at that second; `more` replaces values."""
    instant = _instant(second)
    row = {
        "id": f"{job}@{instant}",
        "job": job,
        "fire_time": instant,
        "planned_at": instant,
        "run": 0,
        "params": {},
        "count": 1,
        "origin": "schedule",
        "state": "finished" if outcome else "claimed",
        "outcome": outcome,
        "reason": None if outcome == "succeeded" else "made up",
        "attempts": 1,
        "http_status": None,
        "chain": [],
    }
    return row | more


def _seen(row: Row, *, late_s: float = 0.001, what: str = "http", part: str = "", cause: str = "") -> Arrival:
    at_ns = instant_ns(row["planned_at"]) + round(late_s * SECOND)
    return Arrival(at_ns=at_ns, what=what, occurrence=row["id"], part=part, cause=cause)


A, B, C = (_row(second) for second in (2, 4, 6))
SEEN = [_seen(row) for row in (A, B, C)]


def _found(rows: list[Row], arrivals: list[Arrival], **more: Any) -> list[str]:
    """Return what the judge finds wrong in a round of six seconds; its only job is due every other second."""
    evidence = Evidence(
        rows=rows,
        arrivals=arrivals,
        period_ns={"job": PERIOD_S * SECOND},
        quick=["job"],
        since_ns=T_NS,
        until_ns=T_NS + 6 * SECOND,
        **more,
    )
    return [what for what, cases, _ in judge(evidence) if cases]


def test_a_round_in_which_each_due_instant_ran_once_is_well() -> None:
    assert _found([A, B, C], SEEN) == []


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        pytest.param(
            _row(4, "failed", reason="connect, not sent: refused"), 0, id="failed before it was sent"
        ),
        pytest.param(_row(4, "failed", http_status=503), 1, id="failed by its status"),
        pytest.param(_row(4, "timed_out"), 1, id="timed out after it was sent"),
        pytest.param(_row(4, "unknown"), 0, id="unknown and not sent"),
        pytest.param(_row(4, "unknown"), 1, id="unknown and sent"),
        pytest.param(_row(4, "skipped", reason=f"coalesced into {C['id']}"), 0, id="coalesced"),
    ],
)
def test_an_honest_outcome_is_well_whatever_it_is(row: Row, seen: int) -> None:
    assert _found([A, row, C], [SEEN[0], *[_seen(row)] * seen, SEEN[2]]) == []


def test_one_row_covers_as_many_instants_as_its_count() -> None:
    missed = _row(2, "missed", count=2)
    assert _found([missed, C], SEEN[2:]) == []
    assert _found([missed, B, C], SEEN[1:]) == [
        "due fire times covered twice, or rows of fire times that are not due"
    ]


@pytest.mark.parametrize(
    ("rows", "arrivals", "violation"),
    [
        pytest.param([A, C], [SEEN[0], SEEN[2]], "due fire times without a row", id="lost"),
        pytest.param(
            [A, B, _row(5), C], [*SEEN, _seen(_row(5))], "rows of fire times that are not due", id="not due"
        ),
        pytest.param([A, B, _row(4, run=1), C], SEEN, "rows of one occurrence", id="twice in the ledger"),
        pytest.param([A, _row(4, None), C], SEEN, "rows without an outcome", id="claimed for ever"),
        pytest.param(
            [A, _row(4, None, state="running"), C], SEEN, "rows without an outcome", id="running for ever"
        ),
        pytest.param([A, B, C], [*SEEN, _seen(_row(8))], "that is not in the ledger", id="silent"),
        pytest.param([A, B, C], [*SEEN, SEEN[1]], "one attempt more than once", id="doubled"),
        pytest.param([A, B, C], [SEEN[0], SEEN[1], _seen(C, late_s=-0.001)], "before their T", id="early"),
        pytest.param([A, B, C], [SEEN[0], SEEN[2]], "the witnesses contradict", id="succeeded and not seen"),
        pytest.param([A, _row(4, "missed"), C], SEEN, "the witnesses contradict", id="missed and seen"),
        pytest.param([A, _row(4, "skipped"), C], SEEN, "the witnesses contradict", id="skipped and seen"),
        pytest.param([A, _row(4, "cancelled"), C], SEEN, "the witnesses contradict", id="cancelled and seen"),
        pytest.param(
            [A, _row(4, "failed", reason="dns, not sent: x"), C], SEEN, "contradict", id="not sent and seen"
        ),
        pytest.param(
            [A, _row(4, "failed", http_status=503), C],
            [SEEN[0], SEEN[2]],
            "contradict",
            id="answered and not seen",
        ),
        pytest.param([A, _row(4, "unknown", reason=None), C], SEEN, "without a reason", id="no reason"),
        pytest.param([_row(second, "unknown") for second in (2, 4, 6)], SEEN, "had not recovered", id="ill"),
    ],
)
def test_each_violation_is_found(rows: list[Row], arrivals: list[Arrival], violation: str) -> None:
    assert [what for what in _found(rows, arrivals) if violation in what]


def test_instants_without_a_row_are_named_as_spans() -> None:
    evidence = Evidence(
        rows=[_row(6)],
        arrivals=[],
        period_ns={"job": SECOND},
        quick=[],
        since_ns=T_NS,
        until_ns=T_NS + 7 * SECOND,
    )
    what, cases, due = judge(evidence)[0]
    assert (what, cases, due) == (
        "due fire times without a row",
        ["job 11:06:41Z to 11:06:45Z (5)", "job 11:06:47Z"],
        7,
    )


def _chain(*states: str) -> list[dict[str, Any]]:
    names = ("callback app:one", "errback app:two", "callback run follows")
    return [{"link": name, "state": state, "error": None} for name, state in zip(names, states, strict=False)]


@pytest.mark.parametrize(
    ("states", "seen", "followers", "is_well"),
    [
        pytest.param(("succeeded", "passed_over", "succeeded"), 1, 1, True, id="well"),
        pytest.param(("unknown", "passed_over", "passed_over"), 1, 0, True, id="unknown"),
        pytest.param(("succeeded", "passed_over", "succeeded"), 0, 1, False, id="succeeded and not called"),
        pytest.param(("succeeded", "passed_over", "succeeded"), 2, 1, False, id="called when passed over"),
        pytest.param(("succeeded", "passed_over", "succeeded"), 1, 2, False, id="two followers"),
        pytest.param(("succeeded", "passed_over", "waiting"), 1, 0, False, id="never ended"),
    ],
)
def test_links_are_held_against_what_was_called(
    states: tuple[str, ...], seen: int, followers: int, *, is_well: bool
) -> None:
    first = _row(2, chain=_chain(*states))
    followed = [_row(2.5 + index / 10, job="follows", origin="chain") for index in range(followers)]
    links = [_seen(first, what="link", part=str(index), late_s=0.2) for index in range(seen)]
    arrivals = [*SEEN, *links, *(_seen(row, late_s=1) for row in followed)]
    assert (_found([first, B, C, *followed], arrivals) == []) is is_well


def test_a_link_that_was_called_twice_and_a_cause_with_two_followers_are_doubled() -> None:
    first, follower, other = (
        _row(2, chain=_chain("succeeded")),
        *(_row(3 + i, job="follows", origin="chain") for i in (0, 1)),
    )
    link = _seen(first, what="link", part="one")
    doubled = "arrivals of one attempt more than once"
    assert doubled in _found([first, B, C], [*SEEN, link, link])
    assert doubled in _found(
        [first, B, C, follower, other], [*SEEN, *(_seen(row, cause=A["id"]) for row in (follower, other))]
    )


@pytest.mark.parametrize(
    ("status", "is_acknowledged", "rows", "is_well"),
    [
        (0, True, 1, True),
        (0, True, 0, False),
        (0, True, 2, False),
        (1, False, 0, True),
        (3, False, 0, True),
        (3, False, 1, False),
        (3, True, 1, True),
        (-9, False, 1, True),
    ],
)
def test_a_run_now_that_was_acknowledged_has_one_row_and_one_that_was_withdrawn_none(
    status: int, rows: int, *, is_acknowledged: bool, is_well: bool
) -> None:
    manual = [
        _row(3 + index / 10, job="by_hand", origin="manual", params={"tag": "x"}) for index in range(rows)
    ]
    run_nows = [RunNow(tag="x", jobs=["by_hand"], status=status, is_acknowledged=is_acknowledged)]
    arrivals = [*SEEN, *(_seen(row, late_s=1) for row in manual)]
    assert (_found([A, B, C, *manual], arrivals, run_nows=run_nows) == []) is is_well


@pytest.mark.parametrize(
    ("row", "seen", "is_poison", "is_well"),
    [
        pytest.param({"outcome": "succeeded", "attempts": 2}, 2, False, True, id="called again, and says so"),
        pytest.param(
            {"outcome": "succeeded", "attempts": 1}, 2, False, False, id="called again, and does not say so"
        ),
        pytest.param({"outcome": "unknown", "attempts": 3}, 3, True, True, id="poison"),
        pytest.param({"outcome": "unknown", "attempts": 2}, 2, False, False, id="given up too early"),
        pytest.param({"outcome": "failed", "attempts": 1}, 1, False, False, id="failed"),
        pytest.param({"outcome": None, "attempts": 0, "state": "queued"}, 0, False, False, id="never called"),
        pytest.param(None, 0, False, False, id="lost"),
    ],
)
def test_what_submit_has_accepted_succeeds_or_says_that_it_was_called_three_times(
    row: dict[str, Any] | None, seen: int, *, is_poison: bool, is_well: bool
) -> None:
    name = "app.work"
    rows = [{**_row(3, job=name, origin="background", reason="made up"), **row}] if row else []
    arrivals = [*SEEN, *(_seen(each, what="background") for each in rows * seen)]
    submitted = [Submitted(number=1, occurrence=f"{name}@{_instant(3)}", is_poison=is_poison)]
    assert (_found([A, B, C, *rows], arrivals, submitted=submitted) == []) is is_well


def test_the_witness_writes_down_each_request_and_answers_as_asked(tmp_path: Path) -> None:
    with Witness(tmp_path) as witness:
        connection = http.client.HTTPConnection(witness.url.removeprefix("http://"), timeout=PATIENCE_S)
        headers = {"X-Tminus-Occurrence": "job@1", "X-Tminus-Attempt": "1", "X-Tminus-Cause": "other@1"}
        for path, status in (("/a?status=503", 503), ("/b", 200)):
            connection.request("POST", path, body=b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", headers=headers)
            with connection.getresponse() as response:
                response.read()
            assert response.status == status
        connection.close()
        seen = witness.arrivals()
    assert [(one.occurrence, one.part, one.cause) for one in seen] == [
        ("job@1", "attempt 1 /a", "other@1"),
        ("job@1", "attempt 1 /b", "other@1"),
    ]


def test_a_filled_disk_has_room_again_afterwards(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    with another_process(_fill, str(tmp_path)) as process:
        assert process.hears() == ("full", "room")


def _fill(pipe: Any, folder: str) -> None:
    disk = Path(folder)
    with small_disks({disk: "1m"}):
        with filled(disk):
            try:
                (disk / "more").write_bytes(b"x" * 5000)
                during = "room"
            except OSError:
                during = "full"
        (disk / "more").write_bytes(b"x" * 5000)
        pipe.send((during, "room"))
