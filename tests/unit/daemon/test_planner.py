"""The planner: what is due at the same T becomes one batch, closed its lead before T, in the order of T."""

import dataclasses
import queue
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.support.daemon import eventually
from tests.support.moments import PATIENCE_S
from tests.support.threads import no_thread
from tests.support.values import a_due, a_job
from tminus.clock import SystemClock
from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.batches.planner import Planner
from tminus.daemon.batches.wakeups import WakeUps
from tminus.instants import MS, SECOND
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.definitions import DaemonSettings, Definitions
from tminus.model.job import CallTarget, Cron, Every, Isolate
from tminus.outcome import Origin, Outcome

Launched = queue.SimpleQueue[tuple[int, int, Sequence[DueOccurrence]]]

CLOCK = SystemClock()


def definitions(*, lead_ns: int | None = None, **schedules: Every) -> Definitions:
    jobs = {name: a_job(name, schedule=(every,)) for name, every in schedules.items()}
    settings = DaemonSettings(lead_ns=lead_ns)
    return Definitions(
        paths=("jobs.yaml",), version="0123456789ab", text="", zone="UTC", daemon=settings, jobs=jobs
    )


@pytest.fixture
def launched() -> Launched:
    """When each batch was closed, its T, its due_occurrences."""
    return queue.SimpleQueue()


@pytest.fixture
def planner(launched: Launched) -> Iterator[Planner]:
    """One that is started by its test."""
    planner = Planner(
        clock=CLOCK,
        launch=lambda at_ns, due_occurrences: launched.put((CLOCK.wall_ns(), at_ns, due_occurrences)),
        on_unstarted=lambda _: None,
        undecided=Undecided(),
    )
    yield planner
    planner.stop()


def by_hand(name: str, planned_at_ns: int) -> DueOccurrence:
    return a_due(a_job(name), fire_time_ns=planned_at_ns, origin=Origin.MANUAL, is_written=True)


def test_what_is_due_at_the_same_t_is_one_batch_closed_its_lead_before(
    planner: Planner, launched: Launched
) -> None:
    planner.start(definitions(lead_ns=1 * SECOND), {})
    first, second = CLOCK.wall_ns() + 4000 * MS, CLOCK.wall_ns() + 4300 * MS
    planner.add([by_hand("b", second), by_hand("a", first)])
    planner.add([by_hand("c", first)])
    for planned_at_ns, names in ((first, {"a", "c"}), (second, {"b"})):
        closed_at_ns, at_ns, due_occurrences = launched.get(timeout=PATIENCE_S)
        assert (at_ns, {due.job.name for due in due_occurrences}) == (planned_at_ns, names)
        assert closed_at_ns >= planned_at_ns - SECOND


def test_a_t_that_is_nearer_than_the_lead_is_closed_at_once(planner: Planner, launched: Launched) -> None:
    planner.start(definitions(lead_ns=3600 * SECOND), {})
    at_ns = CLOCK.wall_ns() + 1800 * SECOND
    planner.add([by_hand("a", at_ns)])
    assert launched.get(timeout=PATIENCE_S)[1] == at_ns


def test_a_large_batch_is_closed_before_a_small_one_that_comes_a_little_earlier(
    planner: Planner, launched: Launched
) -> None:
    planner.start(definitions(), {})
    large = CLOCK.wall_ns() + 4 * SECOND
    small = large - 200 * MS
    planner.add([by_hand("small", small), *(by_hand(f"large_{index}", large) for index in range(1000))])
    assert [launched.get(timeout=PATIENCE_S)[1] for _ in range(2)] == [large, small]


def test_a_batch_of_jobs_with_processes_of_their_own_is_closed_before_one_without(
    planner: Planner, launched: Launched
) -> None:
    planner.start(definitions(), {})
    forked = CLOCK.wall_ns() + 4 * SECOND
    others = forked - 200 * MS
    target = CallTarget(ref="shop:work", isolate=Isolate.PROCESS)
    jobs = [a_job(f"forked_{index}", target=target) for index in range(100)]
    forks = [a_due(job, fire_time_ns=forked, origin=Origin.MANUAL, is_written=True) for job in jobs]
    planner.add([*forks, *(by_hand(f"other_{index}", others) for index in range(100))])
    assert [launched.get(timeout=PATIENCE_S)[1] for _ in range(2)] == [forked, others]


def test_what_a_schedule_says_comes_by_itself_each_fire_time_once(
    planner: Planner, launched: Launched
) -> None:
    planner.start(
        definitions(lead_ns=1 * SECOND, tick=Every(500 * MS), tock=Every(1 * SECOND)),
        # None of these is late when the planner has started.
        dict.fromkeys(("tick", "tock"), CLOCK.wall_ns() + 2 * SECOND),
    )
    batches = [launched.get(timeout=PATIENCE_S) for _ in range(4)]
    times = [at_ns for _, at_ns, _ in batches]
    assert times == [times[0] + index * 500 * MS for index in range(4)]
    assert all({due.job.name for due in due_occurrences} >= {"tick"} for _, _, due_occurrences in batches)
    assert sum(due.job.name == "tock" for _, _, due_occurrences in batches for due in due_occurrences) == 2


def test_other_definitions_take_over_what_is_not_closed(planner: Planner, launched: Launched) -> None:
    planner.start(definitions(lead_ns=1 * SECOND, tick=Every(1 * SECOND)), {"tick": CLOCK.wall_ns()})
    _, last, _ = launched.get(timeout=PATIENCE_S)
    both = definitions(lead_ns=1 * SECOND, tick=Every(1 * SECOND), tock=Every(1 * SECOND))
    planner.replan(both, {"tick": 0, "tock": last}, now_ns=last)
    times = [last + number * SECOND for number in range(1, 4)]
    expected = Counter((at_ns, name) for at_ns in times for name in ("tick", "tock"))
    found: Counter[tuple[int, str]] = Counter()
    while not expected <= found:
        _, at_ns, due_occurrences = launched.get(timeout=PATIENCE_S)
        found.update((at_ns, due.job.name) for due in due_occurrences)
    assert set(found.values()) == {1}


def test_what_is_written_and_planned_anew_is_launched_once_as_it_is_written(
    planner: Planner, launched: Launched
) -> None:
    at_ns = CLOCK.wall_ns() + 3 * SECOND
    planner.start(definitions(lead_ns=1 * SECOND), {})
    planner.add([by_hand("a", at_ns), a_due(a_job("a"), fire_time_ns=at_ns)])
    _, _, due_occurrences = launched.get(timeout=PATIENCE_S)
    assert [(due.job.name, due.is_written) for due in due_occurrences] == [("a", True)]


def test_a_schedule_that_is_changed_owes_its_own_fire_times_from_then_on(
    planner: Planner, launched: Launched
) -> None:
    now_ns = CLOCK.wall_ns()
    planner.start(definitions(lead_ns=10 * SECOND, tick=Every(4 * SECOND)), {"tick": now_ns})
    launched.get(timeout=PATIENCE_S)
    changed_ns = CLOCK.wall_ns()
    planner.replan(
        definitions(lead_ns=10 * SECOND, tick=Every(1 * SECOND)), {"tick": changed_ns}, now_ns=changed_ns
    )
    first = -(-(changed_ns + 1) // SECOND) * SECOND
    times = {launched.get(timeout=PATIENCE_S)[1] for _ in range(8)}
    assert times >= {first, first + SECOND, first + 2 * SECOND}


class Breaking(tuple[Every, ...]):
    """A schedule that cannot be computed one time, as when no file can be opened; the others it can."""

    left = 0

    def __iter__(self) -> Iterator[Every]:
        self.left -= 1
        if self.left == 0:
            raise OSError("too many open files")
        return super().__iter__()


@pytest.mark.parametrize("which", range(1, 7))
def test_a_schedule_that_breaks_one_time_costs_at_most_that_fire_time(launched: Launched, which: int) -> None:
    decided: queue.SimpleQueue[UnstartedResult] = queue.SimpleQueue()
    planner = Planner(
        clock=CLOCK,
        launch=lambda at_ns, due_occurrences: launched.put((CLOCK.wall_ns(), at_ns, due_occurrences)),
        on_unstarted=decided.put,
        undecided=Undecided(),
    )
    schedule = Breaking((Every(500 * MS),))
    schedule.left = which
    planned = definitions(lead_ns=10 * SECOND, tick=Every(500 * MS))
    broken = a_job("broken", schedule=schedule)
    now_ns = CLOCK.wall_ns()
    planner.start(
        dataclasses.replace(planned, jobs={**planned.jobs, "broken": broken}),
        {"tick": now_ns, "broken": now_ns},
    )
    try:
        first = now_ns // (500 * MS) * 500 * MS
        expected = {first + number * 500 * MS for number in range(1, 10)}
        found: set[int] = set()
        while not expected <= found:
            due_occurrences = launched.get(timeout=PATIENCE_S)[2]
            found |= {due.id.fire_time_ns for due in due_occurrences if due.job.name == "broken"}
            while not decided.empty():
                one = decided.get()
                found.add(one.id.fire_time_ns)
                if one.outcome is Outcome.FAILED:
                    assert one.reason == "definition, not sent: it could not be planned (OSError)"
        assert planner.is_well()
    finally:
        planner.stop()


def test_a_loop_that_breaks_starts_again_and_is_not_well_meanwhile() -> None:
    woken: queue.SimpleQueue[str] = queue.SimpleQueue()
    is_mended = threading.Event()

    def end_pass() -> None:
        if not is_mended.is_set():
            raise MemoryError

    start_ns = CLOCK.wall_ns()
    wake_ups = WakeUps(
        {"tick": (Every(SECOND),)},
        collected=lambda _: start_ns,
        due=lambda name, _: woken.put(name),
        pass_is_over=end_pass,
    )
    wake_ups.start()
    try:
        eventually(lambda: not wake_ups.is_well(), what="it is not well")
        is_mended.set()
        eventually(wake_ups.is_well, what="it is well again")
        assert woken.get(timeout=PATIENCE_S) == "tick"
    finally:
        wake_ups.end()


def a_wake_up(woken: queue.SimpleQueue[str]) -> WakeUps:
    """The wake-ups of one job that is due each second."""
    start_ns = CLOCK.wall_ns()
    return WakeUps(
        {"tick": (Every(SECOND),)},
        collected=lambda _: start_ns,
        due=lambda name, _: woken.put(name),
        pass_is_over=lambda: None,
    )


def test_a_clock_that_is_set_before_the_wake_ups_have_begun_ends_no_thread() -> None:
    woken: queue.SimpleQueue[str] = queue.SimpleQueue()
    wake_ups = a_wake_up(woken)
    wake_ups.wake()
    wake_ups.start()
    try:
        wake_ups.wake()
        assert woken.get(timeout=PATIENCE_S) == "tick"
    finally:
        wake_ups.end()
        wake_ups.wake()


def test_wake_ups_for_which_there_is_no_thread_begin_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken: queue.SimpleQueue[str] = queue.SimpleQueue()
    wake_ups, start, refusals = a_wake_up(woken), threading.Thread.start, iter([True, True])

    def sometimes(thread: threading.Thread) -> None:
        if next(refusals, False):
            no_thread(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", sometimes)
    wake_ups.start()
    try:
        assert woken.get(timeout=PATIENCE_S) == "tick"
    finally:
        wake_ups.end()


def test_a_reload_that_mends_a_schedule_that_cannot_be_computed_costs_no_job(
    planner: Planner, launched: Launched
) -> None:
    now_ns = CLOCK.wall_ns()
    good = definitions(lead_ns=10 * SECOND, tick=Every(1 * SECOND), broken=Every(1 * SECOND))
    bad = {**good.jobs, "broken": a_job("broken", schedule=(Cron("* * * * *", "Gone/Zone"),))}
    planner.start(dataclasses.replace(good, jobs=bad), {"tick": now_ns, "broken": now_ns})
    launched.get(timeout=PATIENCE_S)
    planner.replan(good, {"tick": 0, "broken": now_ns}, now_ns=CLOCK.wall_ns())
    while {due.job.name for due in launched.get(timeout=PATIENCE_S)[2]} != {"tick", "broken"}:
        pass
    assert planner.is_well()


def test_a_batch_that_cannot_begin_is_launched_again_and_holds_up_no_other(launched: Launched) -> None:
    refusals = iter([True, True])

    def launch(at_ns: int, due_occurrences: Sequence[DueOccurrence]) -> None:
        if due_occurrences[0].job.name == "a" and next(refusals, False):
            raise RuntimeError("can't start new thread")
        launched.put((CLOCK.wall_ns(), at_ns, due_occurrences))

    planner = Planner(clock=CLOCK, launch=launch, on_unstarted=lambda _: None, undecided=Undecided())
    planner.start(definitions(), {})
    try:
        at_ns = CLOCK.wall_ns()
        planner.add([by_hand("a", at_ns), by_hand("b", at_ns + 1)])
        assert [launched.get(timeout=PATIENCE_S)[2][0].job.name for _ in range(2)] == ["b", "a"]
        assert planner.is_well()
    finally:
        planner.stop()
