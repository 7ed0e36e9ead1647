"""
A shard: all its parties meet at one barrier, whatever happens to one of them, and each end is told once.
"""

import io
import os
import sys
import threading
from collections.abc import Sequence

import pytest

from tests.support.daemon import eventually
from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tminus.instants import LATEST_NS, SECOND
from tminus.release.hold import RECHECK_NS
from tminus.release.party import Party, PartyCallbacks
from tminus.release.shard import ShardRun

T = 1_700_000_010 * SECOND


class Walker(Party):
    """Writes down where it has been; breaks where it is told to, and arms no earlier than it may."""

    def __init__(
        self, name: str = "walker", *, breaks_in: str = "", arms_when: threading.Event | None = None
    ) -> None:
        super().__init__(name)
        self.been: list[str] = []
        self._breaks_in = breaks_in
        self._arms_when = arms_when

    def arm(self, deadline_ns: int) -> None:
        if self._arms_when:
            assert self._arms_when.wait(PATIENCE_S)
        self._walk("arm")

    def recheck(self) -> None:
        self._walk("recheck")

    def release(self, released_at_ns: int) -> None:
        self._walk(f"release at {released_at_ns - T}")

    def stand_down(self) -> None:
        self._walk("stand_down")

    def drain(self) -> None:
        self._walk("drain")

    def report_failure(self, error: BaseException) -> None:
        self._walk(f"report_failure {error}")

    def _walk(self, where: str) -> None:
        self.been.append(where)
        if self._breaks_in and where.startswith(self._breaks_in):
            raise RuntimeError(where)


class Told:
    """What a shard says, in order."""

    def __init__(
        self, parties: Sequence[Party], *, clock: FakeClock | None = None, realtime: bool = False
    ) -> None:
        self.words: list[str] = []
        self.armed, self.ended = threading.Event(), threading.Event()
        self.clock = clock or FakeClock(T - 10 * SECOND)
        self.run = ShardRun(
            release_at_ns=T,
            deadline_ns=T - SECOND,
            give_up_ns=T + SECOND,
            parties=parties,
            clock=self.clock,
            on_armed=self._armed,
            on_out=lambda: self.words.append("out"),
            on_ended=self._ended,
            realtime=realtime,
        )

    def _armed(self) -> None:
        self.words.append("armed")
        self.armed.set()

    def _ended(self) -> None:
        self.words.append("ended")
        self.ended.set()

    def through(self) -> list[str]:
        """Permit before anybody arrives, so that the fake clock holds until T, and wait for the end."""
        self.run.hold.permit()
        self.run.start()
        assert self.ended.wait(PATIENCE_S)
        return self.words


def test_all_are_armed_looked_at_let_go_at_t_and_drained() -> None:
    parties = [Walker(f"walker-{index}") for index in range(3)]
    assert Told(parties).through() == ["armed", "out", "ended"]
    assert [party.been for party in parties] == [["arm", "recheck", "release at 0", "drain"]] * 3


def test_nobody_goes_before_the_last_has_come() -> None:
    late_may_arm = threading.Event()
    early, late = Walker("early"), Walker("late", arms_when=late_may_arm)
    told = Told([early, late])
    told.run.hold.permit()
    told.run.start()
    assert told.words == []
    assert "release at 0" not in early.been
    late_may_arm.set()
    assert told.ended.wait(PATIENCE_S)
    assert (early.been[-2:], late.been[-2:]) == (["release at 0", "drain"], ["release at 0", "drain"])


def test_a_party_that_comes_after_t_lets_all_go_late_and_all_know_it() -> None:
    clock = FakeClock(T + 300)
    parties = [Walker(), Walker()]
    Told(parties, clock=clock).through()
    assert [party.been[2] for party in parties] == ["release at 300"] * 2


def test_without_a_permit_all_go_home() -> None:
    parties = [Walker(), Walker()]
    told = Told(parties)
    told.run.start()
    assert told.ended.wait(PATIENCE_S)
    assert told.words == ["armed", "out", "ended"]
    assert [party.been for party in parties] == [["arm", "stand_down"]] * 2
    assert told.run.hold.released_at_ns is None


def test_a_withdrawn_shard_goes_home() -> None:
    party = Walker()
    told = Told([party])
    told.run.hold.withdraw()
    told.run.start()
    assert told.ended.wait(PATIENCE_S)
    assert (party.been, told.words) == (["arm", "stand_down"], ["armed", "out", "ended"])


@pytest.mark.parametrize(
    ("breaks_in", "been"),
    [
        pytest.param("arm", ["arm", "recheck", "report_failure arm"], id="arming"),
        pytest.param(
            "release", ["arm", "recheck", "release at 0", "report_failure release at 0"], id="releasing"
        ),
        pytest.param(
            "drain", ["arm", "recheck", "release at 0", "drain", "report_failure drain"], id="draining"
        ),
        pytest.param("recheck", ["arm", "recheck", "release at 0", "drain"], id="looking"),
    ],
)
def test_a_party_that_breaks_breaks_alone(
    breaks_in: str, been: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    broken, well = Walker("broken", breaks_in=breaks_in), Walker("well")
    assert Told([broken, well]).through() == ["armed", "out", "ended"]
    assert broken.been == been
    assert well.been == ["arm", "recheck", "release at 0", "drain"]
    assert ("RuntimeError: recheck" in capfd.readouterr().err) is (breaks_in == "recheck")


def test_an_error_of_the_last_look_is_printed_after_all_are_out(monkeypatch: pytest.MonkeyPatch) -> None:
    told, printed_after = Told([Walker(breaks_in="recheck"), Walker()]), list[list[str]]()

    class Stderr(io.StringIO):
        def write(self, text: str) -> int:
            printed_after.append(list(told.words))
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stderr())
    told.through()
    assert printed_after[0] == ["armed", "out"]


def test_a_party_that_breaks_on_its_way_home_breaks_alone() -> None:
    broken, well = Walker("broken", breaks_in="stand_down"), Walker("well")
    told = Told([broken, well])
    told.run.start()
    assert told.ended.wait(PATIENCE_S)
    assert broken.been == ["arm", "stand_down", "report_failure stand_down"]
    assert (well.been, told.words) == (["arm", "stand_down"], ["armed", "out", "ended"])


def test_a_bug_in_what_is_told_breaks_no_barrier() -> None:
    parties = [Walker(), Walker()]
    told = Told(parties)

    def broken() -> None:
        raise RuntimeError("nobody listens")

    told.run._until_armed._then = broken
    assert told.through() == ["out", "ended"]
    assert sorted(party.been[2] for party in parties)[0].startswith("release at 0")


def test_nobody_stands_in_for_a_party_before_it_is_known_who_has_a_thread() -> None:
    class Threadless(Walker):
        def start(self, shard: PartyCallbacks, deadline_ns: int) -> None:
            told.run.stand_in()
            self.been += [
                thread.name for thread in threading.enumerate() if thread.name == "instead of threadless"
            ]
            raise RuntimeError("can't start new thread")

    threadless, well = Threadless("threadless"), Walker("well")
    told = Told([threadless, well])
    told.run.hold.permit()
    assert told.run.start() == [threadless]
    told.run.report_ended()
    assert told.ended.wait(PATIENCE_S)
    assert (threadless.been, well.been[-1], told.words) == (["recheck"], "drain", ["armed", "out", "ended"])


def test_who_does_not_get_its_turn_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    parties = [Walker(), Walker(), Walker()]
    told = Told(parties)
    monkeypatch.setattr(told.run._turns, "open", lambda: None)
    assert told.through() == ["armed", "out", "ended"]
    assert [party.been[2] for party in parties] == ["release at 0"] * 3


def test_nobody_leaves_before_t_though_its_turn_is_over() -> None:
    class Behind(FakeClock):
        """Its wall clock is an hour fast, until all others wait no longer for their turn."""

        def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
            if instant_ns == T - RECHECK_NS:
                self.step_wall(3600 * SECOND)
                eventually(lambda: len(told.run._is_hold_over._cond._waiters) == 2)  # type: ignore[attr-defined]
                self.step_wall(-3600 * SECOND)
            return super().hold_until(instant_ns, longest_ns=longest_ns)

    parties = [Walker(), Walker(), Walker()]
    told = Told(parties, clock=Behind(T - 10 * SECOND))
    told.through()
    assert [party.been[2] for party in parties] == ["release at 0"] * 3


def test_a_hold_that_breaks_is_the_reason_why_no_party_starts() -> None:
    class Broken(FakeClock):
        def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
            if instant_ns == T - RECHECK_NS:
                raise RuntimeError("no time")
            return super().hold_until(instant_ns, longest_ns=longest_ns)

    parties = [Walker(), Walker(), Walker()]
    assert Told(parties, clock=Broken(T - 10 * SECOND)).through() == ["armed", "out", "ended"]
    reported = ["report_failure the hold broke: RuntimeError: no time"]
    assert [party.been[1:] for party in parties] == [reported] * 3


def test_a_hundred_parties_each_go_once() -> None:
    parties = [Walker(f"walker-{index}") for index in range(100)]
    Told(parties).through()
    assert {tuple(party.been) for party in parties} == {("arm", "recheck", "release at 0", "drain")}


@pytest.mark.parametrize("realtime", [True, False])
def test_only_who_holds_has_a_real_time_priority_and_only_until_all_are_let_go(
    *, realtime: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: dict[int, list[int]] = {}
    ranked: list[tuple[str, list[int]]] = []

    def becomes(_: int, policy: int, __: object) -> None:
        became.setdefault(threading.get_ident(), []).append(policy)

    class Ranked(Walker):
        def _walk(self, where: str) -> None:
            ranked.append((where, list(became.get(threading.get_ident(), []))))

    monkeypatch.setattr(os, "sched_setscheduler", becomes)
    Told([Ranked() for _ in range(3)], realtime=realtime).through()
    held, let_go = ([os.SCHED_FIFO], [os.SCHED_FIFO, os.SCHED_OTHER]) if realtime else ([], [])
    assert [had for where, had in ranked if where == "recheck"] == [held] * 3
    assert sorted(had for where, had in ranked if where == "release at 0") == [[], [], let_go]
