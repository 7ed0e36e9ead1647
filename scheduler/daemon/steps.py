"""Steps of chains: noted, then written, some at a time, away from any T, again and again until the ledger has them."""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog

from scheduler.daemon.station import Station
from scheduler.errors import LedgerError, Refused
from scheduler.instants import SECOND
from scheduler.ledger import chains
from scheduler.ledger.chains import Step
from scheduler.model.batch import Due
from scheduler.outcome import LinkState

log = structlog.get_logger()

Found = TypeVar("Found")

#: Steps in one transaction: a batch must not wait long for it.
_MOST = 200
_RETRY_S = 0.5


class Abandoned(Exception):
    """This process is to end, and the ledger does not work."""


class Steps:
    """
    Belongs to the thread of the chains, except `abandoned`, which any thread may set.

    Args:
        launch: Takes the occurrences that chains start; they are in the ledger.
        lead_ns: Returns the lead for this many jobs.
    """

    def __init__(self, station: Station, *, launch: Callable[[Sequence[Due]], None], lead_ns: Callable[[int], int]) -> None:
        self.abandoned = threading.Event()
        self._station = station
        self._launch = launch
        self._lead_ns = lead_ns
        self._noted: list[Step] = []
        self._ended: list[int] = []

    @property
    def are_written(self) -> bool:
        """Whether all that was noted is written."""
        return not (self._noted or self._ended)

    def note(self, step: Step) -> None:
        """Note the state of a link."""
        self._noted.append(step)

    def end(self, chain: int) -> None:
        """Note that a chain has no further link."""
        self._ended.append(chain)

    def fail(self, chain: int, states: Sequence[LinkState], why: str) -> None:
        """
        Note that all open links have failed; links that had ended stay as they are.

        Args:
            chain: The row number of its run.
            states: The states of its links. One that is `running` was called, and becomes `unknown`.
            why: The reason, for people.
        """
        now_ns = self._station.clock.wall_ns()
        for position, state in enumerate(states):
            step = Step(occurrence=chain, position=position, state=LinkState.FAILED, at_ns=now_ns, error=why)
            if state is LinkState.RUNNING:
                step = replace(step, state=LinkState.UNKNOWN, error=f"{why}; it was called, and how far it came is not known")
            self.note(step)
        self.end(chain)

    def drop(self, some: Collection[int]) -> None:
        """Write nothing of these chains."""
        self._noted = [step for step in self._noted if step.occurrence not in some]
        self._ended = [chain for chain in self._ended if chain not in some]

    def write(self) -> set[int]:
        """
        Write what was noted, and launch what is started by it.

        Returns:
            The chains that cannot be written; all others are.

        Raises:
            Abandoned: it could not be written.
        """
        broken: set[int] = set()
        while self._noted or self._ended:
            steps, self._noted = self._noted[:_MOST], self._noted[_MOST:]
            ended: list[int] = []
            if not self._noted:  # a chain ends after all its steps
                ended, self._ended = self._ended, ended
            if not self._has_written(steps, ended):
                for one in dict.fromkeys([*(step.occurrence for step in steps), *ended]):
                    if not self._has_written([step for step in steps if step.occurrence == one], [one] if one in ended else []):
                        broken.add(one)
                self.drop(broken)
        return broken

    def insist(self, action: Callable[[], Found]) -> Found:
        """
        Return the result of the action on the ledger, which is retried until it succeeds.

        Raises:
            Abandoned: this process is to end before.
        """
        while True:
            try:
                return action()
            except Refused:
                raise
            except LedgerError as error:
                log.error("the ledger does not work, chains wait", error=error.message)
                if self.abandoned.wait(_RETRY_S):
                    raise Abandoned from None

    def _has_written(self, steps: Sequence[Step], ended: Sequence[int]) -> bool:
        clock = self._station.clock
        self._station.gate.wait_open(own=None, deadline_ns=clock.wall_ns() + SECOND)

        def advance() -> list[Due]:
            # A job that is started gets its T when its row is written, however long that takes.
            t_ns = clock.wall_ns() + self._lead_ns(sum(step.starts is not None for step in steps))
            timed = [replace(step, starts=step.starts and replace(step.starts, planned_at_ns=t_ns)) for step in steps]
            return chains.advance(self._station.ledger, timed, ended=ended)

        try:
            started = self.insist(advance)
        except Abandoned:
            raise
        except Exception:
            log.exception("steps of chains cannot be written", occurrences=sorted({step.occurrence for step in steps}))
            return False
        if started:
            self._launch(started)
        return True
