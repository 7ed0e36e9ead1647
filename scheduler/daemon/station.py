"""What every countdown shares: the ledger, the executor, the recorder, and the definitions that are in force."""

import os
from dataclasses import dataclass, field

from scheduler.clock import Clock
from scheduler.daemon.executors import Executors
from scheduler.daemon.file_reader import FileReader
from scheduler.daemon.recorder import Recorder
from scheduler.daemon.render import Renderer
from scheduler.daemon.running import Running
from scheduler.jobsfile.references import References
from scheduler.ledger.engine import Ledger
from scheduler.model.definitions import Definitions
from scheduler.release.gate import Gate


@dataclass(slots=True, kw_only=True)
class Station:
    """
    One process that runs jobs on one ledger.

    Attributes:
        instance: Its row in the ledger.
        definitions: Those in force; a reload sets others.
    """

    clock: Clock
    ledger: Ledger
    instance: str
    definitions: Definitions
    executors: Executors
    recorder: Recorder
    gate: Gate
    running: Running = field(default_factory=Running)
    files: FileReader = field(init=False)

    def __post_init__(self) -> None:
        self.files = FileReader(self.clock)

    def renderer(self) -> Renderer:
        """For the definitions in force."""
        definitions, read = self.definitions, self.files.for_batch()
        return Renderer(
            References(definitions.folder, os.environ, read=read),
            keep_body=definitions.daemon.history.max_body,
            read=read,
            is_said=lambda job: job in self.executors.code().get(job.app, ()),
        )
