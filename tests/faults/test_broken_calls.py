"""Links of chains that cannot be called, or whose end cannot be taken in: each gets its honest state, and others go on."""

from pathlib import Path
from typing import Any

import pytest

from scheduler.daemon import calls
from scheduler.daemon.flight import Flight
from scheduler.model.occurrence import Occurrence
from scheduler.outcome import Outcome
from tests.support.faults import fault_in
from tests.support.service import batches
from tests.support.target import TargetServer


def links(one: Occurrence | None) -> list[tuple[str, str | None]]:
    """States and errors."""
    assert one is not None
    assert one.outcome is Outcome.SUCCEEDED
    return [(link.state.value, link.error) for link in one.chain]


def test_calls_that_break_on_their_way_fail_and_the_next_ones_are_made(
    tmp_path: Path, target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(Flight):
        def arm(self, *_: Any) -> None:
            raise RuntimeError("no code expects it")

    with batches(tmp_path, target, ["call", "call"]) as some:
        with monkeypatch.context() as patch:
            patch.setattr(calls, "Flight", Breaking)
            broken = some.run()
        well = some.run()
    assert [links(one) for one in broken.occurrences] == [[("failed", "sending it broke (RuntimeError)")]] * 2
    assert [links(one) for one in well.occurrences] == [[("succeeded", None)]] * 2


def test_calls_that_are_given_much_are_sent_in_several_commands(
    tmp_path: Path, target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    class Counting(Flight):
        def arm(self, *arguments: Any) -> None:
            sent.append(len(self.outstanding))
            super().arm(*arguments)

    monkeypatch.setattr(calls, "Flight", Counting)
    monkeypatch.setattr(calls, "MOST_BYTES", 1)
    with batches(tmp_path, target, ["call"] * 5) as some:
        batch = some.run()
    assert [links(one) for one in batch.occurrences] == [[("succeeded", None)]] * 5
    assert sent == [1] * 5


@pytest.mark.parametrize(
    ("step", "state", "error"),
    [
        (
            "scheduler.daemon.links:returned",
            "unknown",
            "it broke (InjectedFault); it was called, and how far it came is not known",
        ),
        ("scheduler.daemon.links:call_of", "failed", "it broke (InjectedFault)"),
    ],
)
def test_a_link_is_unknown_only_if_it_was_called(tmp_path: Path, target: TargetServer, step: str, state: str, error: str) -> None:
    with batches(tmp_path, target, ["call", "call"]) as some:
        with fault_in(step, lambda _arguments: True, times=1):
            batch = some.run()
        found = [links(one) for one in batch.occurrences]
        assert [(state, error)] in found
        assert [("succeeded", None)] in found
