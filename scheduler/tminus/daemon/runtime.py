"""The runtime: what the parts of one daemon, or of one `run-now`, share."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tminus.aside import aside, is_done
from tminus.clock import Clock
from tminus.daemon.attempts.file_reader import FileReader
from tminus.daemon.attempts.in_flight import InFlight
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.attempts.render import Renderer
from tminus.daemon.processes.executors import Executors, Runners
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.ledger import instances, upkeep
from tminus.ledger.engine import Ledger
from tminus.ledger.journal import Journal, JournalPlace
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.policies.pause import Pause
from tminus.policies.withheld import Withheld
from tminus.release.gate import Gate
from tminus.secrets.references import References

#: Time limit for the last write, because the ledger may be locked.
_LAST_S = 0.5


@dataclass(slots=True, kw_only=True)
class Runtime:
    """
    Objects that the parts of a process share.

    Attributes:
        instance: The row of this process in the ledger.
        definitions: The definitions in force; a reload sets others.
        gate: Shut around each T.
        in_flight: The occurrences that count for the overlap policy.
        withheld: What operators have paused and skipped, and what is suspended. `change_withheld` sets it.
        cancel: Cancels an occurrence that has no outcome, with a reason.
        on_held_back: Takes occurrences that a commit has held back.
        on_put_back: Takes occurrences that wait for their T again, because the wall clock was set back.
    """

    clock: Clock
    ledger: Ledger
    instance: str
    definitions: Definitions
    executors: Executors
    recorder: Recorder
    gate: Gate
    in_flight: InFlight = field(default_factory=InFlight)
    withheld: Withheld = field(default_factory=Withheld)
    cancel: Callable[[OccurrenceId, str], bool] = lambda _identity, _reason: False
    on_held_back: Callable[[Sequence[DueOccurrence]], None] = lambda _: None
    on_put_back: Callable[[Sequence[DueOccurrence]], None] = lambda _: None
    files: FileReader = field(init=False)
    _withholding: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.files = FileReader(self.clock)

    def start(self, jobs: Iterable[Job], runners: Runners | None = None) -> None:
        """
        Start what these jobs need, and the recorder.

        Args:
            jobs: The jobs that are to run.
            runners: Runners that have been started already.

        Raises:
            TminusError: the ledger does not work, or the HTTP executor does not start.
        """
        definitions, now_ns = self.definitions, self.clock.wall_ns()
        upkeep.keep_config(self.ledger, definitions.version, definitions.text, now_ns=now_ns)
        self.ledger.failure_limits = definitions.failure_limits
        self.executors.start(definitions, jobs, runners)
        self.recorder.start()

    def stop(self, timeout_s: float) -> bool:
        """
        Write the last outcomes, then end the executors.

        Returns:
            False if an outcome is neither in the ledger nor in the journal after that time.
        """
        is_written = self.recorder.stop(timeout_s)
        self.executors.stop()
        return is_written

    def change_withheld(
        self,
        *,
        pauses: Mapping[str, Pause] | None = None,
        skips: Mapping[tuple[str, int], str] | None = None,
        suspensions: Mapping[str, Pause] | None = None,
    ) -> None:
        """Let the next commits use these instead of those in force; None changes nothing. Thread-safe."""
        with self._withholding:
            now = self.withheld
            self.withheld = Withheld(
                pauses=now.pauses if pauses is None else pauses,
                skips=now.skips if skips is None else skips,
                suspensions=now.suspensions if suspensions is None else suspensions,
            )

    def renderer(self) -> Renderer:
        """Return a renderer for the definitions in force."""
        definitions, read = self.definitions, self.files.for_batch()
        return Renderer(
            References(definitions.folder, os.environ, read=read),
            keep_body=definitions.daemon.history.max_body,
            read=read,
            is_reported=lambda job: job in self.executors.code_jobs().get(job.app, ()),
        )


@contextmanager
def open_runtime(
    ledger: Ledger,
    definitions: Definitions,
    *,
    kind: str,
    clock: Clock,
    on_code_jobs: Callable[[], None] = lambda: None,
) -> Iterator[Runtime]:
    """
    Build the runtime of this process, and register it in the ledger. At the end, everything is stopped,
    whatever was raised.

    Args:
        ledger: Locked by this process.
        definitions: The definitions in force at first.
        kind: `daemon` or `run-now`.
        clock: The only source of time.
        on_code_jobs: Called when a runner has reported which jobs its application's code defines.

    Yields:
        The runtime, not started.
    """
    gate = Gate(clock)
    instance = instances.register(
        ledger, kind=kind, config_version=definitions.version, now_ns=clock.wall_ns()
    )
    journal = Journal(JournalPlace.of(ledger.url, ledger.path, os.environ), instance)
    runtime = Runtime(
        clock=clock,
        ledger=ledger,
        instance=instance,
        definitions=definitions,
        executors=Executors(
            clock, job_requests=JobRequestHandler(ledger, clock=clock), on_code_jobs=on_code_jobs
        ),
        recorder=Recorder(ledger, gate=gate, clock=clock, journal=journal),
        gate=gate,
    )
    try:
        yield runtime
    finally:
        runtime.stop(0)
        stopped = aside(
            lambda: instances.record_stop(ledger, runtime.instance, clock.wall_ns()), name="stopped"
        )
        is_done(stopped, _LAST_S)
