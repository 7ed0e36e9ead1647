"""The id of an occurrence as text, and its JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND
from tminus.model.chain import LinkStatus
from tminus.model.occurrence import Occurrence, OccurrenceId, milliseconds, timestamp
from tminus.outcome import LinkState, OccurrenceState, Origin, Outcome

T = 1_795_174_200 * SECOND  # 2026-11-20T11:30:00Z

ids = st.builds(
    OccurrenceId,
    job=st.text(min_size=1, max_size=64),
    fire_time_ns=st.integers(min_value=0, max_value=2**63 - 1),
    run=st.integers(min_value=0, max_value=999_999_999),
)


@given(ids)
def test_an_id_goes_to_text_and_back(identity: OccurrenceId) -> None:
    assert OccurrenceId.parse(str(identity)) == identity


@given(ids, ids)
def test_two_occurrences_have_two_texts(one: OccurrenceId, another: OccurrenceId) -> None:
    assert (str(one) == str(another)) is (one == another)


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (OccurrenceId(job="crm_sync", fire_time_ns=T), "crm_sync@2026-11-20T11:30:00Z"),
        (OccurrenceId(job="crm_sync", fire_time_ns=T, run=1), "crm_sync@2026-11-20T11:30:00Z~1"),
        (OccurrenceId(job="crm_sync", fire_time_ns=T + 120), "crm_sync@2026-11-20T11:30:00.00000012Z"),
        (OccurrenceId(job="sync[me@home,a~b]", fire_time_ns=T), "sync[me@home,a~b]@2026-11-20T11:30:00Z"),
    ],
)
def test_the_text_is_the_job_its_fire_time_and_its_run(identity: OccurrenceId, text: str) -> None:
    assert str(identity) == text
    assert OccurrenceId.parse(text) == identity


def test_the_fire_time_may_be_written_in_any_zone() -> None:
    assert OccurrenceId.parse("crm_sync@2026-11-20T12:30:00+01:00") == OccurrenceId(
        job="crm_sync", fire_time_ns=T
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "crm_sync",
        "@2026-11-20T11:30:00Z",
        "crm_sync@",
        "crm_sync@now",
        "crm_sync@2026-11-20T11:30:00",
        "crm_sync@2026-11-20T11:30:00Z~",
        "crm_sync@2026-11-20T11:30:00Z~-1",
        "crm_sync@2026-11-20T11:30:00Z~1~2",
        "crm_sync@2026-11-20T11:30:00Z~x",
        "crm_sync@2026-11-20T11:30:00Z~٣",
        "crm_sync@2026-11-20T11:30:00Z~9999999999",
    ],
)
def test_what_is_no_occurrence_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        OccurrenceId.parse(text)


def test_an_occurrence_that_ended_is_told_in_full() -> None:
    one = Occurrence(
        id=OccurrenceId(job="crm_sync", fire_time_ns=T, run=2),
        planned_at_ns=T + SECOND,
        origin=Origin.BACKFILL,
        state=OccurrenceState.FINISHED,
        params={"day": "today"},
        retry_of="crm_sync@2026-11-20T11:30:00Z~1",
        count=3,
        outcome=Outcome.FAILED,
        reason="status: 503 instead of 2xx",
        started_at_ns=T + SECOND + 1_381_999,
        finished_at_ns=T + 2 * SECOND,
        duration_ns=48_200_499,
        armed=True,
        attempts=2,
        http_status=503,
        executor="http-1@host",
        config_version="0123456789ab",
    )
    assert one.as_json() == {
        "id": "crm_sync@2026-11-20T11:30:00Z~2",
        "job": "crm_sync",
        "fire_time": "2026-11-20T11:30:00Z",
        "run": 2,
        "planned_at": "2026-11-20T11:30:01Z",
        "retry_of": "crm_sync@2026-11-20T11:30:00Z~1",
        "cause": None,
        "params": {"day": "today"},
        "count": 3,
        "origin": "backfill",
        "state": "finished",
        "outcome": "failed",
        "reason": "status: 503 instead of 2xx",
        "start_offset_ms": 1.382,
        "armed": True,
        "started_at": "2026-11-20T11:30:01.001381999Z",
        "finished_at": "2026-11-20T11:30:02Z",
        "duration_ms": 48.2,
        "attempts": 2,
        "next_attempt_at": None,
        "http_status": 503,
        "chain": [],
        "chain_result": None,
        "executor": "http-1@host",
        "config_version": "0123456789ab",
        "resolved": None,
    }


@pytest.mark.parametrize(
    ("outcome", "failure", "states", "result"),
    [
        pytest.param("succeeded", None, [], None, id="no-chain"),
        pytest.param("succeeded", None, ["running"], None, id="not-ended"),
        pytest.param("succeeded", False, ["succeeded"], "succeeded", id="well"),
        pytest.param("succeeded", False, ["failed", "succeeded"], "succeeded", id="handled-its-own-failure"),
        pytest.param("succeeded", True, ["failed", "passed_over"], "failed", id="a-link-failed"),
        pytest.param("succeeded", True, ["unknown"], "failed", id="a-link-is-unknown"),
        pytest.param("succeeded", True, ["passed_over"], "failed", id="too-long-to-be-handed-on"),
        pytest.param("succeeded", False, ["succeeded", "failed"], "failed", id="broken-off"),
        pytest.param("failed", False, ["succeeded"], "rescued", id="an-errback-handled-it"),
        pytest.param("timed_out", False, ["succeeded"], "rescued", id="also-a-timeout"),
        pytest.param("failed", True, ["failed"], "failed", id="its-errback-failed"),
        pytest.param("failed", True, ["passed_over"], None, id="nothing-was-called"),
        pytest.param("failed", True, ["succeeded"], None, id="only-started-a-job"),
    ],
)
def test_what_a_chain_has_made_of_its_run(
    outcome: str, failure: bool | None, states: list[str], result: str | None
) -> None:
    one = Occurrence(
        id=OccurrenceId(job="pay", fire_time_ns=T),
        planned_at_ns=T,
        origin=Origin.SCHEDULE,
        state=OccurrenceState.FINISHED,
        outcome=Outcome(outcome),
        chain=tuple(LinkStatus(link="callback m:f", state=LinkState(state)) for state in states),
        chain_failure=failure,
    )
    assert one.as_json()["chain_result"] == result


def test_an_occurrence_that_never_started_has_nulls() -> None:
    one = Occurrence(
        id=OccurrenceId(job="pay", fire_time_ns=T),
        planned_at_ns=T,
        origin=Origin.SCHEDULE,
        state=OccurrenceState.CLAIMED,
    )
    said = one.as_json()
    empty = {name for name, value in said.items() if value is None}
    assert empty == {
        "retry_of",
        "cause",
        "chain_result",
        "outcome",
        "reason",
        "start_offset_ms",
        "armed",
        "started_at",
        "finished_at",
        "duration_ms",
        "http_status",
        "next_attempt_at",
        "executor",
        "resolved",
    }
    assert (said["attempts"], said["count"], said["run"]) == (0, 1, 0)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_milliseconds_have_three_decimals_and_are_within_half_a_microsecond(duration_ns: int) -> None:
    shown = milliseconds(duration_ns)
    assert shown is not None
    assert shown == round(shown, 3)
    assert abs(shown * MS - duration_ns) <= 501


def test_what_is_not_there_has_no_figure() -> None:
    assert (milliseconds(None), timestamp(None)) == (None, None)
