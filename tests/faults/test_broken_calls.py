"""
Links of chains that cannot be called, or whose end cannot be taken in: each gets its honest state, and others
go on.
"""

from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.faults import fault_in
from tests.support.service import batches
from tests.support.target import TargetServer
from tminus.daemon.processes.channels import RunnerChannel
from tminus.model.occurrence import Occurrence
from tminus.outcome import Outcome


def links(one: Occurrence | None) -> list[tuple[str, str | None]]:
    """States and errors."""
    assert one is not None
    assert one.outcome is Outcome.SUCCEEDED
    return [(link.state.value, link.error) for link in one.chain]


def test_calls_that_break_on_their_way_fail_and_the_next_ones_are_made(
    tmp_path: Path, target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> NoReturn:
        raise RuntimeError("no code expects it")

    with batches(tmp_path, target, ["call", "call"]) as some:
        with monkeypatch.context() as patch:
            patch.setattr(RunnerChannel, "call", breaks)
            broken = some.run()
        well = some.run()
    assert [links(one) for one in broken.occurrences] == [[("failed", "sending it broke (RuntimeError)")]] * 2
    assert [links(one) for one in well.occurrences] == [[("succeeded", None)]] * 2


@pytest.mark.parametrize(
    ("step", "state", "error"),
    [
        (
            "tminus.daemon.runs.chain_links:to_link_result",
            "unknown",
            "it broke (InjectedFault); it was called, and how far it came is not known",
        ),
        ("tminus.daemon.runs.chain_links:to_call", "failed", "it broke (InjectedFault)"),
    ],
)
def test_a_link_is_unknown_only_if_it_was_called(
    tmp_path: Path, target: TargetServer, step: str, state: str, error: str
) -> None:
    with batches(tmp_path, target, ["call", "call"]) as some:
        with fault_in(step, lambda _arguments: True, times=1):
            batch = some.run()
        found = [links(one) for one in batch.occurrences]
        assert [(state, error)] in found
        assert [("succeeded", None)] in found
