"""Background runs around a ledger that fails, and calls that cannot be sent: each costs itself alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon.background import Background
from scheduler.daemon.call import Call, Came
from scheduler.daemon.calls import Calls
from scheduler.daemon.executors import Executors
from scheduler.daemon.handovers import Handovers
from scheduler.daemon.lent_locks import LentLocks
from scheduler.daemon.recorder import Recorder
from scheduler.daemon.render import Renderer
from scheduler.daemon.station import Station
from scheduler.errors import LedgerError
from scheduler.executors.python import wire as python_wire
from scheduler.executors.python.wire import Answered, Ask
from scheduler.instants import SECOND
from scheduler.ledger import background, named_locks, runs
from scheduler.ledger.background import Run
from scheduler.ledger.engine import Ledger, open_ledger
from scheduler.model.background import Work
from scheduler.model.definitions import App, Definitions
from scheduler.model.job import CallTarget, RunnerKey
from scheduler.release.gate import Gate
from tests.support.daemon import eventually
from tests.support.ledgers import an_instance
from tests.support.values import a_due, a_job


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """A process that does the work of one application."""
    clock, ledger = SystemClock(), open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    gate = Gate(clock)
    definitions = Definitions(
        paths=("jobs.yaml",), version="", text="", zone="UTC", apps={"shop": App(name="shop", app="shop:app", directory="/")}
    )
    return Station(
        clock=clock,
        ledger=ledger,
        instance=an_instance(ledger),
        definitions=definitions,
        executors=Executors(clock, handovers=Handovers(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=gate, clock=clock),
        gate=gate,
    )


def test_a_start_that_raised_and_is_durable_all_the_same_is_taken_back_and_made_once_more(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = runs.submit(station.ledger, Work(app="shop", ref="shop:look"), now_ns=station.clock.wall_ns())
    begun: list[Sequence[Call]] = []
    raised: list[LedgerError] = []
    start = background.start

    def lost(ledger: Ledger, found: Sequence[Run], *, instance: str, now_ns: int) -> set[int]:
        numbers = start(ledger, found, instance=instance, now_ns=now_ns)
        if not raised:
            raised.append(LedgerError("the connection was lost"))
            raise raised[0]
        return numbers

    def begin(_calls: Calls, _key: RunnerKey, calls: Sequence[Call], _executor: object) -> None:
        begun.append(calls)
        one.leave()

    monkeypatch.setattr(background, "start", lost)
    monkeypatch.setattr(Calls, "begin", begin)
    one = Background(station)
    one.start()
    eventually(lambda: begun, what="it begins")
    one.stop(0)
    assert raised
    assert [call.due.id for calls in begun for call in calls] == [accepted.occurrence]
    station.ledger.close()


def test_work_that_makes_no_sense_is_refused_and_the_next_is_written_down(station: Station) -> None:
    answers: list[Answered] = []
    handovers = Handovers(station.ledger, clock=station.clock)
    handovers.put(1, Ask(pid=1, number=1, what="submit", given={"what": "ever"}), answers.append)
    handovers.put(1, Ask(pid=1, number=2, what="submit", given={"app": "shop", "ref": "shop:look"}), answers.append)
    eventually(lambda: len(answers) == 2, what="both are answered")
    assert answers[0].kind == "TypeError"
    assert runs.standing(station.ledger, answers[1].value[0])
    station.ledger.close()


def test_a_call_that_is_cancelled_and_cannot_be_sent_holds_up_no_other(station: Station, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from flask import Flask\napp = Flask('shop')\ndef look():\n    return 7\n")
    app, key = App(name="shop", app="shop:app", directory=str(tmp_path)), RunnerKey("shop")
    runners = station.executors.fresh([app], str(tmp_path))
    station.executors.adopt(station.definitions, runners)
    assert station.executors.have_spoken(runners, 30)
    due = a_due(a_job(target=CallTarget(ref="shop:look", app="shop")), fire_time_ns=station.clock.wall_ns())

    def call(owner: int, **broken: Any) -> Call:
        def work(renderer: Renderer, index: int) -> python_wire.Work:
            return replace(renderer.handed_over(due, index, ref="shop:look"), **broken)

        return Call(owner=owner, due=due, work=work, secrets=lambda _: frozenset())

    calls, came = Calls(station, wake=lambda: None), dict[int, Came]()
    calls.begin(key, [call(1, job=object()), call(2)])
    calls.stop(1)

    def all_came() -> bool:
        came.update({one.owner: one for one in calls.came()})
        return len(came) == 2

    eventually(all_came, what="both have ended")
    station.executors.stop()
    assert came[1].cannot
    assert came[2].finished
    assert came[2].finished.body == b"7"
    station.ledger.close()


def test_a_lock_is_given_back_by_its_holder_though_one_with_the_same_numbers_has_waited_and_died(station: Station) -> None:
    ledger, answers, lent = station.ledger, list[Answered](), LentLocks(station.ledger)

    def lock(name: str) -> Ask:
        return Ask(pid=7, number=1, what="lock", given={"app": "shop", "name": name, "timeout_ns": 20 * SECOND})

    free_poll = named_locks.acquire(ledger, "shop", "poll", 0)
    lent.take(7, lock("poll"), answers.append)
    lent.gone(7, 7)
    lent.take(7, lock("other"), answers.append)
    eventually(lambda: len(answers) == 1, what="the second has its lock")
    free_poll()
    named_locks.acquire(ledger, "shop", "poll", 20 * SECOND)()
    eventually(lambda: len(answers) == 2, what="the wait of the dead one is over")
    lent.give_back(7, Ask(pid=7, number=2, what="unlock", given={"lock": 1}), answers.append)
    named_locks.acquire(ledger, "shop", "other", 5 * SECOND)()
    ledger.close()
