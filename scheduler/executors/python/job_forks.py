"""
Keep the pipes to the daemon from jobs. Processes that jobs fork do not have them open, and end with this process.

With a copy of a pipe open elsewhere, the other end would not notice that this process has ended. A process that a job moves
into a session of its own (setsid) is not ended.
"""

import os
import signal
from collections.abc import Sequence
from typing import BinaryIO, NoReturn

from scheduler.executors.python.board import Board


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return our two pipes, moved from stdin and stdout: a job reads nothing there, and what it prints is its output."""
    commands, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return commands, reports


def keep_from_forks(descriptors: Sequence[int], board: Board | None = None) -> None:
    """Have processes that this one forks get /dev/null in place of these descriptors, and close the board."""
    ours = list(descriptors)

    def forget() -> None:
        if not ours:  # a forked process has forked in its turn: by now these numbers may be those of its own files
            return
        try:
            null = os.open(os.devnull, os.O_RDWR)
        except OSError:
            for descriptor in ours:
                os.close(descriptor)
        else:
            # Not closed: objects of ours still have these numbers, and would close what gets them next.
            for descriptor in ours:
                os.dup2(null, descriptor, inheritable=False)
            os.close(null)
        ours.clear()
        if board is not None:
            board.close()

    os.register_at_fork(after_in_child=forget)


def outlive(*signals: signal.Signals) -> None:
    """From now on, these signals do not end this process. What it forks or starts takes them as it would without us."""
    before = {}
    for number in signals:
        # Not SIG_IGN: that outlives an exec, and a job could not end a process that it has started.
        before[number] = signal.signal(number, _stay) or signal.SIG_DFL
        signal.siginterrupt(number, False)

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is _stay:
                signal.signal(number, handler)

    os.register_at_fork(after_in_child=restore)


def _stay(_number: int, _frame: object) -> None:
    """Nothing is to be done."""


def end_with_forks(status: int) -> NoReturn:
    """End this process, and what its jobs have forked, if it leads a process group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(status)
