"""Other processes that use a ledger: they race for it, hold it, write to it, and are killed."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from tests.support.ledgers import load_all_modules
from tests.support.moments import PATIENCE_S

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.other_process", "tminus.ledger.migrate"])


@dataclass(frozen=True, slots=True)
class User:
    """The user that a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class OtherProcess:
    """
    A process that runs one function.

    Args:
        does: Called in that process with its end of a pipe and these arguments.
        user: The user that it runs as; None for the user of the tests.
    """

    def __init__(self, does: Callable[..., None], *args: Any, user: User | None = None, **more: Any) -> None:
        sys.audit("tests.process", does.__qualname__)
        self._pipe, theirs = _context.Pipe()
        arguments = (does, theirs, user, *args)
        self._process: ForkServerProcess = _context.Process(
            target=_run, args=arguments, kwargs=more, daemon=True
        )
        self._process.start()
        theirs.close()

    def hears(self) -> Any:
        """Wait for the next message of the process; return it."""
        assert self._pipe.poll(PATIENCE_S), "the other process says nothing"
        return self._pipe.recv()

    def hears_all(self) -> Iterator[Any]:
        """Yield all messages that the process has sent until it ended."""
        while self._pipe.poll(PATIENCE_S):
            try:
                yield self._pipe.recv()
            except EOFError:
                return

    def tell(self, word: str) -> None:
        """Send a message to the process."""
        self._pipe.send(word)

    def kill(self) -> None:
        """Send SIGKILL, and wait."""
        self._process.kill()
        self._process.join(PATIENCE_S)
        assert not self._process.is_alive()

    def close(self) -> None:
        """Kill the process, and close all that belongs to it."""
        self.kill()
        self._pipe.close()
        self._process.close()


@contextmanager
def another_process(
    does: Callable[..., None], *args: Any, user: User | None = None, **more: Any
) -> Iterator[OtherProcess]:
    """Yield another process; kill it at the end."""
    process = OtherProcess(does, *args, user=user, **more)
    try:
        yield process
    finally:
        process.close()


def _run(does: Callable[..., None], pipe: Connection, user: User | None, *args: Any, **more: Any) -> None:
    if user is not None:
        load_all_modules()
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
    does(pipe, *args, **more)
