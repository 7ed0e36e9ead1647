"""
Processes that jobs fork. They do not have the pipes to the daemon open, and they end with this process.

If they had a pipe open, the daemon would not notice that this process has ended. A process that a job moves
into a session of its own (setsid) does not end with this one.
"""

import os
import signal
from collections.abc import Sequence
from typing import BinaryIO, NoReturn

from tminus.executors.python.start_table import StartTable


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes for commands and reports, moved away from stdin and stdout, which jobs may use."""
    commands, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return commands, reports


def keep_from_forks(descriptors: Sequence[int], start_table: StartTable | None = None) -> None:
    """
    Replace these descriptors by /dev/null in forked processes, and close the start table there.
    """
    ours = list(descriptors)

    def forget() -> None:
        # In a fork of a forked process, these numbers may belong to other files.
        if not ours:
            return
        try:
            null = os.open(os.devnull, os.O_RDWR)
        except OSError:
            for descriptor in ours:
                os.close(descriptor)
        else:
            # Not closed: objects here still have these numbers, and would close the next files with them.
            for descriptor in ours:
                os.dup2(null, descriptor, inheritable=False)
            os.close(null)
        ours.clear()
        if start_table is not None:
            start_table.close()

    os.register_at_fork(after_in_child=forget)


def outlive(*signals: signal.Signals) -> None:
    """
    Keep these signals from ending this process. Processes that it forks or starts handle them as before.
    """
    before = {}
    for number in signals:
        # Not SIG_IGN: a started process would inherit that, and a job could not end it.
        before[number] = signal.signal(number, _stay) or signal.SIG_DFL
        signal.siginterrupt(number, False)

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is _stay:
                signal.signal(number, handler)

    os.register_at_fork(after_in_child=restore)


def _stay(_number: int, _frame: object) -> None:
    """Do nothing."""


def end_with_forks(status: int) -> NoReturn:
    """End this process and, if it leads a process group, all processes that its jobs have forked."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(status)
