"""
The writer of chains: it notes their steps, and writes them in groups, away from any T. It retries until the
ledger has them.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog

from tminus.daemon.ledger_retry import GivenUp, retry_until
from tminus.daemon.runtime import Runtime
from tminus.instants import SECOND
from tminus.ledger import chains
from tminus.ledger.chains import LinkUpdate
from tminus.model.batch import DueOccurrence
from tminus.model.job import Job
from tminus.outcome import LinkState

log = structlog.get_logger()

Result = TypeVar("Result")

#: Steps in one transaction: a batch must not wait long for it.
_MOST = 200
_RETRY_S = 0.5


class ChainWriter:
    """
    Steps of chains that the ledger does not have yet. Belongs to the thread of the chains.

    Args:
        on_due: Called with the occurrences that chains start; they are in the ledger.
        lead_ns: Returns the lead for a batch of these jobs.

    Attributes:
        abandoned: Set by any thread to end all retries.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        on_due: Callable[[Sequence[DueOccurrence]], None],
        lead_ns: Callable[[Sequence[Job]], int],
    ) -> None:
        self.abandoned = threading.Event()
        self._runtime = runtime
        self._on_due = on_due
        self._lead_ns = lead_ns
        self._noted: list[LinkUpdate] = []
        self._ended: list[int] = []

    @property
    def are_written(self) -> bool:
        """Whether all that was noted is in the ledger."""
        return not (self._noted or self._ended)

    def note(self, step: LinkUpdate) -> None:
        """Note the state of a link."""
        self._noted.append(step)

    def end(self, chain: int) -> None:
        """Note that a chain has no further link."""
        self._ended.append(chain)

    def fail(self, chain: int, states: Sequence[LinkState], why: str) -> None:
        """
        Note that all open links have failed. Links that had ended stay as they are.

        Args:
            chain: The row number of its run.
            states: The states of its links. One that is `running` was called, and becomes `unknown`.
            why: The reason, for people.
        """
        now_ns = self._runtime.clock.wall_ns()
        for position, state in enumerate(states):
            step = LinkUpdate(
                occurrence=chain, position=position, state=LinkState.FAILED, at_ns=now_ns, error=why
            )
            if state is LinkState.RUNNING:
                step = replace(
                    step,
                    state=LinkState.UNKNOWN,
                    error=f"{why}; it was called, and how far it came is not known",
                )
            self.note(step)
        self.end(chain)

    def drop(self, numbers: Collection[int]) -> None:
        """Write nothing of these chains."""
        self._noted = [step for step in self._noted if step.occurrence not in numbers]
        self._ended = [chain for chain in self._ended if chain not in numbers]

    def write(self) -> set[int]:
        """
        Write all that was noted, and pass on the occurrences that it starts.

        Returns:
            The chains that cannot be written. All others are written.

        Raises:
            GivenUp: this process is to end, and the ledger does not work.
        """
        broken: set[int] = set()
        while self._noted or self._ended:
            steps, self._noted = self._noted[:_MOST], self._noted[_MOST:]
            ended: list[int] = []
            if not self._noted:  # a chain ends after all its steps
                ended, self._ended = self._ended, []
            if not self._has_written(steps, ended):
                for chain in dict.fromkeys([*(step.occurrence for step in steps), *ended]):
                    steps_of_chain = [step for step in steps if step.occurrence == chain]
                    if not self._has_written(steps_of_chain, [chain] if chain in ended else []):
                        broken.add(chain)
                self.drop(broken)
        return broken

    def retry_until_abandoned(self, action: Callable[[], Result]) -> Result:
        """
        Return the result of the action on the ledger, which is retried until it succeeds.

        Raises:
            GivenUp: this process is to end before.
        """
        return retry_until(self.abandoned, action, pause_s=_RETRY_S, waiting="chains")

    def _has_written(self, steps: Sequence[LinkUpdate], ended: Sequence[int]) -> bool:
        clock = self._runtime.clock
        self._runtime.gate.wait_open(own=None, deadline_ns=clock.wall_ns() + SECOND)

        def advance() -> list[DueOccurrence]:
            # A job that is started gets its T when its row is written, however long that takes.
            planned_at_ns = clock.wall_ns() + self._lead_ns(
                [step.starts.job for step in steps if step.starts]
            )
            timed = [
                replace(step, starts=step.starts and replace(step.starts, planned_at_ns=planned_at_ns))
                for step in steps
            ]
            return chains.advance(self._runtime.ledger, timed, ended=ended)

        try:
            started = self.retry_until_abandoned(advance)
        except GivenUp:
            raise
        except Exception:
            log.exception(
                "steps of chains cannot be written", occurrences=sorted({step.occurrence for step in steps})
            )
            return False
        if started:
            self._on_due(started)
        return True
