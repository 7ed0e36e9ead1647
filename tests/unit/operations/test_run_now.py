"""Requests of `run-now`: which are accepted, and the occurrences they become."""

import pytest

from tests.support.values import a_job
from tminus.errors import JobNotFound, NotFound, UsageError
from tminus.instants import SECOND
from tminus.ledger import history, instances, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.definitions import Definitions
from tminus.operations.run_now import RunNowRequest, accept, check
from tminus.operations.select import select
from tminus.outcome import OccurrenceState, Origin

NOW = 1_763_638_200 * SECOND


def definitions(**jobs: object) -> Definitions:
    made = {name: a_job(name, **more) for name, more in jobs.items()}  # type: ignore[arg-type]
    return Definitions(paths=("jobs.yaml",), version="0123456789ab", text="", zone="UTC", jobs=made)


TWO = definitions(
    pay={"params": {"day": "today", "limit": 500, "dry": False}, "tags": ("crm",)},
    pack={"tags": ("crm", "big")},
)


def wish(*jobs: str, at_ns: int | None = None, sets: dict[str, str] | None = None) -> RunNowRequest:
    return RunNowRequest(jobs=jobs, set=sets or {}, at_ns=at_ns)


def test_params_of_the_job_hold_where_nothing_else_is_said() -> None:
    assert check(wish("pay"), TWO, now_ns=NOW) == {"pay": {"day": "today", "limit": 500, "dry": False}}


def test_a_value_keeps_the_kind_of_the_one_it_replaces() -> None:
    params = check(wish("pay", sets={"day": "2026-11-20", "limit": "7", "dry": "true"}), TWO, now_ns=NOW)[
        "pay"
    ]
    assert params == {"day": "2026-11-20", "limit": 7, "dry": True}


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"dai": "x"}, "job 'pay' has no param 'dai'; did you mean 'day'?"),
        ({"limit": "many"}, "--set limit: 'many' is not like 500"),
        ({"dry": "1"}, "--set dry: '1' is not like false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(sets: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        check(wish("pay", sets=sets), TWO, now_ns=NOW)
    assert refused.value.message == message


def test_a_t_that_is_past_is_refused() -> None:
    with pytest.raises(UsageError, match="is past"):
        check(wish("pay", at_ns=NOW - 2 * SECOND), TWO, now_ns=NOW)


def test_an_unknown_job_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(JobNotFound, match="no job 'pai'; did you mean 'pay'"):
        check(wish("pai"), TWO, now_ns=NOW)


def test_several_jobs_become_one_batch_that_waits_for_its_t(ledger: Ledger) -> None:
    instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=NOW)
    request = requests.add_request(ledger, RequestKind.RUN_NOW, wish("pay", "pack").as_body(), now_ns=NOW)
    said = requests.take(
        ledger,
        request,
        instance=instance,
        execute=lambda connection: (
            accept(connection, request, TWO, now_ns=NOW + 5, lead_ns=lambda jobs: len(jobs) * SECOND).answer
        ),
    )
    assert said == {
        "occurrences": [f"{job}@2025-11-20T11:30:00Z" for job in ("pay", "pack")],
        "planned_at_ns": NOW + 5 + 2 * SECOND,
    }
    found = history.find_batch(ledger, NOW + 5 + 2 * SECOND)
    assert [(one.id.job, one.origin, one.state) for one in found] == [
        ("pay", Origin.MANUAL, OccurrenceState.QUEUED),
        ("pack", Origin.MANUAL, OccurrenceState.QUEUED),
    ]


def test_of_two_requests_in_one_nanosecond_the_second_takes_the_next(ledger: Ledger) -> None:
    instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=NOW)
    for _ in range(2):
        request = requests.add_request(ledger, RequestKind.RUN_NOW, wish("pay").as_body(), now_ns=NOW)
        requests.take(
            ledger,
            request,
            instance=instance,
            execute=lambda connection, request=request: (
                accept(  # type: ignore[misc]
                    connection, request, TWO, now_ns=NOW, lead_ns=lambda _: SECOND
                ).answer
            ),
        )
    assert sorted(one.id.fire_time_ns - NOW for one in history.find(ledger)) == [0, 1]


@pytest.mark.parametrize(
    ("words", "names", "by_pattern"),
    [
        (["pay"], ("pay",), False),
        (["pay", "pay"], ("pay",), False),
        (["p*"], ("pay", "pack"), True),
        (["tag:big"], ("pack",), True),
    ],
)
def test_jobs_are_meant_by_name_tag_and_glob(
    words: list[str], names: tuple[str, ...], by_pattern: bool
) -> None:
    selected = select(words, TWO)
    assert (selected.names, selected.by_pattern) == (names, by_pattern)


def test_a_pattern_that_means_nobody_is_refused() -> None:
    with pytest.raises(NotFound, match="'tag:small' selects no job"):
        select(["tag:small"], TWO)
    with pytest.raises(UsageError, match="there are no groups"):
        select(["group:half_past"], TWO)
