"""What a ledger knows of the jobs that the code of applications defines: those of the version that was in force last."""

from scheduler.jobsfile.code import code_in
from scheduler.ledger import history, instances
from scheduler.ledger.engine import Ledger
from scheduler.model.code import CodeJob


def known_code(ledger: Ledger) -> tuple[CodeJob, ...]:
    """Of all applications; of a jobs file that is another one now there may be some too many."""
    latest = instances.latest(ledger)
    text = history.config_text(ledger, latest.config_version) if latest and latest.config_version else None
    return code_in(text) if text else ()
