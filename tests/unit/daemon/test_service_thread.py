"""A service thread works until it is stopped, whatever one round comes to."""

import queue
import threading

import pytest

from tests.support.moments import PATIENCE_S
from tests.support.threads import no_thread
from tminus.daemon.service_thread import DrainingThread, ServiceThread
from tminus.errors import LedgerError


@pytest.mark.parametrize("error", [KeyError("a bug"), LedgerError("the ledger is locked")])
def test_a_round_that_raises_does_not_end_the_thread(error: Exception) -> None:
    rounds: queue.SimpleQueue[None] = queue.SimpleQueue()
    errors = iter([error])

    def work() -> None:
        rounds.put(None)
        for one in errors:
            raise one

    thread = ServiceThread("worker", work, pause_s=0.001)
    thread.start()
    try:
        for _ in range(3):
            rounds.get(timeout=PATIENCE_S)
    finally:
        assert thread.stop(30)


def test_a_second_start_starts_no_second_thread() -> None:
    threads: queue.SimpleQueue[int] = queue.SimpleQueue()
    thread = ServiceThread("worker", lambda: threads.put(threading.get_ident()), pause_s=0.001)
    thread.start()
    thread.start()
    assert len({threads.get(timeout=PATIENCE_S) for _ in range(20)}) == 1
    assert thread.stop(30)


def test_a_start_without_a_thread_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    works = threading.Event()
    thread = ServiceThread("worker", works.set, pause_s=0.001)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            thread.start()
    assert not thread.is_alive
    thread.start()
    assert works.wait(PATIENCE_S)
    assert thread.stop(30)


def test_stop_returns_in_time_though_a_round_hangs() -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        goes_on.wait(PATIENCE_S)

    thread = ServiceThread("worker", hang, pause_s=0.001)
    thread.start()
    assert begun.wait(PATIENCE_S)
    assert thread.stop(0.01) is False
    goes_on.set()
    assert thread.stop(30) is True


def test_a_thread_that_was_never_started_has_stopped() -> None:
    thread = ServiceThread("worker", lambda: None, pause_s=0.001)
    assert not thread.is_alive
    assert thread.stop(0) is True


def test_a_draining_thread_works_until_what_was_begun_has_ended() -> None:
    left, rounds = 3, list[int]()

    def work() -> None:
        nonlocal left
        if thread.stopping.is_set():
            left -= 1
            rounds.append(left)

    thread = DrainingThread(
        "worker", work, pause_s=0.001, is_draining=lambda: left > 0, abandoned=threading.Event()
    )
    thread.start()
    thread.drain(30)
    assert not thread.is_alive
    assert rounds == [2, 1, 0]


def test_a_draining_thread_is_abandoned_after_its_time() -> None:
    abandoned = threading.Event()
    thread = DrainingThread(
        "worker", lambda: None, pause_s=0.001, is_draining=lambda: True, abandoned=abandoned
    )
    thread.start()
    thread.drain(0)
    assert abandoned.is_set()
    assert thread.stop(30)


def test_a_draining_thread_that_is_woken_does_not_wait_for_its_pause() -> None:
    woken: queue.SimpleQueue[None] = queue.SimpleQueue()
    thread = DrainingThread(
        "worker",
        lambda: woken.put(None),
        pause_s=3_600,
        is_draining=lambda: False,
        abandoned=threading.Event(),
    )
    thread.start()
    thread.wake.set()
    woken.get(timeout=30)
    thread.drain(30)
    assert not thread.is_alive
