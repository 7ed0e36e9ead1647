"""The jobs in code that the ledger has: those of the configuration that was in force last."""

from tminus.jobsfile.jobs.code_jobs import stored_code_jobs
from tminus.ledger import history, instances
from tminus.ledger.engine import Ledger
from tminus.model.code_job import CodeJob


def known_code(ledger: Ledger) -> tuple[CodeJob, ...]:
    """
    Return the jobs in code of all applications. If the jobs file was changed since, some may be obsolete.
    """
    latest = instances.latest(ledger)
    text = history.config_text(ledger, latest.config_version) if latest and latest.config_version else None
    return stored_code_jobs(text) if text else ()
