"""The process of an isolated job, as its fork server sees it."""

import os
import signal

import pytest

from tests.support.runner import a_call
from tminus.executors.protocol import Arm
from tminus.executors.python.child_process import ChildProcess, Shard
from tminus.executors.python.output import Output


def test_a_process_that_was_reaped_gets_no_signal_when_its_shard_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(os, "killpg", lambda *call: sent.append(call))
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *call: sent.append(call))
    works = [a_call("shop:ping"), a_call("shop:ping", index=1)]
    arm = Arm(shard=1, release_at_ns=0, deadline_ns=0, give_up_ns=0, realtime=False, works=works)
    shard = Shard(arm, began_ns=0)
    for work, is_reaped in zip(works, (True, False), strict=True):
        shard.children[work.index] = ChildProcess(
            shard, work, 1000 + work.index, 3, 4, 5, 6, Output(0), is_reaped=is_reaped
        )
    shard.break_off(RuntimeError("odd"), now_ns=0)
    assert sent == [(1001, signal.SIGKILL), (3, signal.SIGKILL)]
