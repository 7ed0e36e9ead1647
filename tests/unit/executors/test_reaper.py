"""The reaper closes what lanes are done with, whatever one of the handles does."""

import threading
from typing import cast

import pycurl
import pytest

from tests.support.moments import PATIENCE_S
from tminus.clock import SystemClock
from tminus.executors.http.reaper import Handle, Reaper
from tminus.release.gate import Gate


class Breaks:
    """A handle that cannot be closed."""

    def close(self) -> None:
        raise pycurl.error("it is in use")


class Closes:
    """A handle."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_a_handle_that_cannot_be_closed_leaves_no_other_open(capfd: pytest.CaptureFixture[str]) -> None:
    clock, well = SystemClock(), Closes()
    reaper = Reaper(gate=Gate(clock), clock=clock)
    reaper.close_later([cast("Handle", Breaks()), cast("Handle", well)])
    assert well.closed.wait(PATIENCE_S)
    assert "it is in use" in capfd.readouterr().err
