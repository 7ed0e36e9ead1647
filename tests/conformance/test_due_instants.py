"""
No due instant is ever without a row, and none has two: random lives of a daemon, against a scan of what was
due.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledgers import T, prune_all
from tests.support.scheduling import SteppedDaemon, definitions_of
from tests.support.values import a_job
from tminus.errors import LedgerError
from tminus.instants import MS, SECOND
from tminus.ledger.engine import Ledger, open_ledger
from tminus.ledger.tables import metadata, occurrences
from tminus.model.job import Every, Once, Schedule
from tminus.model.occurrence import OccurrenceId
from tminus.policies.catch_up import CatchUp
from tminus.policies.coalesce import Coalesce
from tminus.schedule import canonical
from tminus.schedule.fire_times import between

NAMES = ("pay", "pack", "ship")
SCHEDULES: tuple[Schedule, ...] = (
    (Every(2 * SECOND),),
    (Every(3 * SECOND),),
    (Every(SECOND), Once(T + 2500 * MS)),
    (Once(T + 2500 * MS), Every(SECOND)),  # the same one
    (),
)
JOBS = st.tuples(
    st.sampled_from(SCHEDULES),
    st.sampled_from([SECOND, 5 * SECOND, 300 * SECOND]),
    st.sampled_from([False] * 4 + [True]),
    st.sampled_from(Coalesce),
    st.builds(
        CatchUp, window_ns=st.sampled_from([0, 3 * SECOND, 20 * SECOND]), most=st.sampled_from([1, 3, 100])
    ),
    st.sampled_from([0, 0, SECOND, 7 * SECOND]),
)
FILE = st.tuples(JOBS, JOBS, st.one_of(st.none(), JOBS))
STEP = st.one_of(
    st.tuples(st.just("pass"), st.integers(50, 12_000)),
    st.tuples(
        st.sampled_from(
            ["wake", "wake all", "close", "claim", "claim all", "claim unclear", "give up", "run", "run all"]
        ),
        st.integers(0, 9),
    ),
    st.tuples(st.sampled_from(["write", "put off", "beat", "prune", "kill"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["reload", "reload unclear", "restart"]), FILE),
)
File = tuple[tuple[Schedule, int, bool, Coalesce, CatchUp, int] | None, ...]


@dataclass
class Account:
    """When a schedule was in force, by the test's own book."""

    job: str
    schedule: Schedule
    since_ns: int
    until_ns: int | None = None


class Life:
    """Takes the steps, and keeps a book of what is due and of the rows that were ever there."""

    def __init__(self, ledger: Ledger, first: File) -> None:
        self.ledger = ledger
        self.now_ns = T
        self.file = first
        self.book: list[Account] = []
        self.unclear: list[Account] | None = (
            None  # the book before a reload of which the daemon does not know
        )
        self.rows: dict[OccurrenceId, tuple[int, int]] = {}
        self.pruned: set[OccurrenceId] = set()
        self.daemon: SteppedDaemon | None = None
        self.start(first)

    def take(self, what: str, how: object) -> None:
        if what == "restart" or self.daemon is None:
            self.start(how if what in ("restart", "reload") else self.file)  # type: ignore[arg-type]
        else:
            getattr(self, f"_{what.replace(' ', '_')}")(self.daemon, how)

    def start(self, file: File) -> None:
        self.file = file
        since_ns, self.unclear = self.now_ns, None
        self.now_ns += 100 * MS
        self._note(file, since_ns)
        self.daemon = SteppedDaemon(self.ledger, definitions(file), since_ns=since_ns, now_ns=self.now_ns)

    def end(self) -> None:
        self.start(self.file)
        assert self.daemon is not None
        self.daemon.finish()
        self._look()

    def _note(self, file: File, now_ns: int) -> None:
        scheduled = {job.name: job.schedule for job in definitions(file).jobs.values() if job.schedule}
        self.book = [Account(one.job, one.schedule, one.since_ns, one.until_ns) for one in self.book]
        open_ones = {one.job: one for one in self.book if one.until_ns is None}
        for name, one in open_ones.items():
            if name not in scheduled or canonical.to_text(scheduled[name]) != canonical.to_text(one.schedule):
                one.until_ns = now_ns
        for name, schedule in scheduled.items():
            if name not in open_ones or open_ones[name].until_ns is not None:
                self.book.append(Account(name, schedule, now_ns))

    def _look(self) -> None:
        columns = (
            occurrences.c.job,
            occurrences.c.fire_time_ns,
            occurrences.c.run,
            occurrences.c.covers_until_ns,
            occurrences.c.count,
        )
        with self.ledger.read() as connection:
            found = {
                OccurrenceId(job=job, fire_time_ns=at, run=run): (covers or at, count)
                for job, at, run, covers, count in connection.execute(sa.select(*columns))
            }
        assert not found.keys() & self.pruned, "a row that was pruned came back"
        self.rows |= found

    def _pass(self, _daemon: SteppedDaemon, ms: int) -> None:
        self.now_ns += ms * MS

    def _wake(self, daemon: SteppedDaemon, which: int) -> None:
        daemon.wake(NAMES[which % len(NAMES)], self.now_ns)

    def _wake_all(self, daemon: SteppedDaemon, _: int) -> None:
        for name in NAMES:
            daemon.wake(name, self.now_ns)

    def _close(self, daemon: SteppedDaemon, which: int) -> None:
        if waiting := list(daemon.agenda.waiting):
            daemon.close(waiting[which % len(waiting)])

    def _claim(self, daemon: SteppedDaemon, which: int) -> None:
        if batches := [one for one in daemon.batches if one.release is None]:
            daemon.claim(batches[which % len(batches)])

    def _claim_all(self, daemon: SteppedDaemon, _: int) -> None:
        for planned_at_ns in list(daemon.agenda.waiting):
            daemon.close(planned_at_ns)
        for batch in daemon.batches:
            daemon.claim(batch)

    def _claim_unclear(self, daemon: SteppedDaemon, which: int) -> None:
        if batches := [one for one in daemon.batches if one.release is None]:
            daemon.claim(batches[which % len(batches)], raises=True)

    def _give_up(self, daemon: SteppedDaemon, which: int) -> None:
        if batches := [one for one in daemon.batches if one.release is None]:
            daemon.give_up(batches[which % len(batches)])

    def _run(self, daemon: SteppedDaemon, which: int) -> None:
        if batches := [one for one in daemon.batches if one.release is not None]:
            daemon.run(batches[which % len(batches)])

    def _run_all(self, daemon: SteppedDaemon, _: int) -> None:
        for batch in [one for one in daemon.batches if one.release is not None]:
            daemon.run(batch)

    def _write(self, daemon: SteppedDaemon, which: int) -> None:
        daemon.write(daemon.decided[which % 3 :: 2], self.now_ns)

    def _put_off(self, daemon: SteppedDaemon, most: int) -> None:
        daemon.put_off(most)

    def _beat(self, daemon: SteppedDaemon, _: int) -> None:
        daemon.beat(self.now_ns)
        self._restored()

    def _prune(self, _daemon: SteppedDaemon, keep_s: int) -> None:
        self._look()
        prune_all(self.ledger, before_ns=self.now_ns - keep_s % 3 * SECOND)
        with self.ledger.read() as connection:
            rows = connection.execute(
                sa.select(occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run)
            )
            left = {OccurrenceId(job=job, fire_time_ns=at, run=run) for job, at, run in rows}
        self.pruned |= self.rows.keys() - left

    def _kill(self, _daemon: SteppedDaemon, _: int) -> None:
        self.daemon = None

    def _reload(self, daemon: SteppedDaemon, file: File) -> None:
        self._restored()
        self.now_ns += 1
        self._note(file, self.now_ns)
        daemon.reload(definitions(file), self.now_ns)
        self.file = file

    def _reload_unclear(self, daemon: SteppedDaemon, file: File) -> None:
        self._restored()
        self.now_ns += 1
        self.unclear = self.book
        self._note(file, self.now_ns)
        with pytest.raises(LedgerError):
            daemon.reload(definitions(file), self.now_ns, raises=True)

    def _restored(self) -> None:
        """A daemon that goes on puts the schedules back that it plans."""
        if self.unclear is not None:
            self.book, self.unclear = self.unclear, None


def definitions(file: File):  # type: ignore[no-untyped-def]
    jobs = (
        a_job(
            name,
            schedule=one[0],
            misfire_grace_ns=one[1],
            suspended=one[2],
            coalesce=one[3],
            catch_up=one[4],
            jitter_ns=one[5],
        )
        for name, one in zip(NAMES, file, strict=True)
        if one is not None
    )
    return definitions_of(*jobs)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Ledger]]:
    """Empties the one ledger; what is durable is not what is tested here."""
    ledger = open_ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")
    sa.event.listen(ledger._reader, "checkout", lambda raw, *_: raw.execute("PRAGMA synchronous=OFF"))

    def emptied() -> Ledger:
        with ledger.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        return ledger

    yield emptied
    ledger.close()


def violations(life: Life) -> list[str]:
    due: defaultdict[str, set[int]] = defaultdict(set)
    for one in life.book:
        due[one.job].update(
            between(one.schedule, one.since_ns, min(one.until_ns or life.now_ns, life.now_ns))
        )
    found = []
    for name in NAMES:
        rows = sorted(
            (identity.fire_time_ns, *rest) for identity, rest in life.rows.items() if identity.job == name
        )
        found += [
            f"{name}: {one} and {other} overlap"
            for one, other in itertools.pairwise(rows)
            if one[1] >= other[0]
        ]
        for first_ns, last_ns, count in rows:
            covered = {at for at in due[name] if first_ns <= at <= last_ns}
            if count != max(len(covered), 1):
                found.append(
                    f"{name}: {first_ns - T} to {last_ns - T} counts {count} and stands for {len(covered)}"
                )
            due[name] -= covered
        found += [f"{name}: {(at - T) / SECOND} has no row" for at in sorted(due[name])]
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(first=FILE, steps=st.lists(STEP, min_size=5, max_size=60))
def test_each_due_instant_has_exactly_one_row_that_stands_for_it(
    empty: Callable[[], Ledger], first: File, steps: list[tuple[str, object]]
) -> None:
    life = Life(empty(), first)
    for what, how in steps:
        life.take(what, how)
    life.end()
    assert violations(life) == []
