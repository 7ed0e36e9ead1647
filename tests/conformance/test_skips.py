"""Fire times that are skipped one by one."""

import pytest

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, prune_all
from tests.support.values import a_job
from tminus.errors import NotPossible, UsageError
from tminus.instants import SECOND
from tminus.ledger import requests, skips
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.definitions import Definitions
from tminus.model.job import Every
from tminus.operations import skip as skipping
from tminus.policies.withheld import Withheld

HOUR = 3_600 * SECOND
JOB = a_job("pay", schedule=(Every(interval_ns=HOUR // 2),))
ONE = Definitions(paths=("jobs.yaml",), version="", text="", zone="UTC", jobs={"pay": JOB})


def skip(ledger: Ledger, at_ns: int, *, by: str = "ann@desk") -> None:
    body = {"jobs": ["pay"], "fire_time_ns": at_ns}
    request = requests.add_request(ledger, RequestKind.SKIP, body, now_ns=T, by=by)
    requests.take(
        ledger, request, instance=an_instance(ledger), execute=lambda to: skipping.accept(to, request, ONE)
    )


def withheld(ledger: Ledger) -> Withheld:
    with ledger.read() as connection:
        return skips.load(connection)


def test_a_skip_has_who_asked_for_it_first(ledger: Ledger) -> None:
    skip(ledger, T)
    skip(ledger, T, by="bob@desk")
    found = withheld(ledger)
    assert found.why("pay", fire_time_ns=T, planned_at_ns=T) == "skipped by ann@desk"
    assert found.why("pay", fire_time_ns=T + HOUR // 2, planned_at_ns=T) is None


def test_a_time_between_fire_times_is_refused_with_the_nearest_ones(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="pay does not fire at 2025-11-20T11:31:00Z") as refused:
        skip(ledger, T + 60 * SECOND)
    assert refused.value.hint == "it fires at 2025-11-20T11:30:00Z and 2025-11-20T12:00:00Z"
    assert withheld(ledger).skips == {}


def test_a_claimed_one_can_be_skipped_and_a_released_one_cannot(ledger: Ledger) -> None:
    release = claim(ledger, dues_of("pay"))
    skip(ledger, T)
    commit(ledger, release)
    with pytest.raises(NotPossible, match="pay@2025-11-20T11:30:00Z is not to come: it is running"):
        skip(ledger, T)


def test_skips_are_deleted_with_the_history_of_their_time(ledger: Ledger) -> None:
    skip(ledger, T)
    skip(ledger, T + HOUR)
    prune_all(ledger, before_ns=T + 1)
    assert withheld(ledger).skips.keys() == {("pay", T + HOUR)}
