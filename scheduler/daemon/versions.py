"""Jobs by the definitions that they were claimed under, which may not be those in force any more."""

from scheduler.daemon.handed_over import due_of
from scheduler.jobsfile.rebuild import rebuild
from scheduler.ledger import background, history
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Due
from scheduler.model.definitions import Definitions
from scheduler.model.job import Job
from scheduler.model.occurrence import Occurrence
from scheduler.outcome import Origin


class Versions:
    """
    Not thread-safe. Keeps what it has read.

    Args:
        definitions: Those in force.
    """

    def __init__(self, ledger: Ledger, definitions: Definitions) -> None:
        self._ledger = ledger
        self._path = definitions.paths[0]
        self._jobs: dict[str, dict[str, Job]] = {definitions.version: dict(definitions.jobs)}

    def due(self, occurrence: Occurrence) -> Due | None:
        """
        An occurrence that the ledger has, with its job; None where the ledger has its definition no more.

        Raises:
            LedgerError: it cannot be read.
        """
        if occurrence.origin is Origin.BACKGROUND:
            run = background.of_ids(self._ledger, [occurrence.id]).get(occurrence.id)
            return due_of(run) if run else None
        job = self._job(occurrence.config_version, occurrence.id.job)
        if job is None:
            return None
        return Due(
            id=occurrence.id,
            job=job,
            planned_at_ns=occurrence.planned_at_ns,
            origin=occurrence.origin,
            config_version=occurrence.config_version,
            params=occurrence.params,
            is_written=True,
        )

    def _job(self, version: str, name: str) -> Job | None:
        if version not in self._jobs:
            text = history.config_text(self._ledger, version)
            self._jobs[version] = rebuild(text, path=self._path) if text else {}
        return self._jobs[version].get(name)
