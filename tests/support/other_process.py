"""Other processes on a ledger: they race for it, hold it, write to it, and are killed."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from tests.support.ledgers import load_all_modules

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.other_process", "scheduler.ledger.migrate"])

#: Nothing here takes long: who waits in vain learns it after this.
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class User:
    """Whom a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class OtherProcess:
    """
    A process that runs one function.

    Args:
        does: Called there with our end of a pipe, and these arguments.
        user: Whom it runs as, where not as we do.
    """

    def __init__(self, does: Callable[..., None], *args: Any, user: User | None = None, **more: Any) -> None:
        self._pipe, theirs = _context.Pipe()
        arguments = (does, theirs, user, *args)
        self._process: ForkServerProcess = _context.Process(target=_run, args=arguments, kwargs=more, daemon=True)
        self._process.start()
        theirs.close()

    def hears(self) -> Any:
        """What it says next."""
        assert self._pipe.poll(TIMEOUT_S), "the other process says nothing"
        return self._pipe.recv()

    def hears_all(self) -> Iterator[Any]:
        """All that it has said until it ended."""
        while self._pipe.poll(TIMEOUT_S):
            try:
                yield self._pipe.recv()
            except EOFError:
                return

    def tell(self, word: str) -> None:
        """Say something to it."""
        self._pipe.send(word)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self._process.kill()
        self._process.join(TIMEOUT_S)
        assert not self._process.is_alive()

    def close(self) -> None:
        """Be done with it."""
        self.kill()
        self._pipe.close()
        self._process.close()


@contextmanager
def another_process(does: Callable[..., None], *args: Any, user: User | None = None, **more: Any) -> Iterator[OtherProcess]:
    """One that is gone at the end of the block."""
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
