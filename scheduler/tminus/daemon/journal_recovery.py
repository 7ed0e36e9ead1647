"""
The first step of recovery: outcomes that the database had refused are in the journals of earlier processes.
They are written before anything without an outcome becomes `unknown`.
"""

from pathlib import Path

import structlog

from tminus import crash_points
from tminus.ledger import journal
from tminus.ledger.engine import Ledger
from tminus.ledger.journal import JournalContent, JournalPlace, NotAJournal
from tminus.ledger.journal_records import Recordable, from_record
from tminus.ledger.journal_replay import knows, replay

log = structlog.get_logger()


def replay_journals(ledger: Ledger, place: JournalPlace, *, instance: str, now_ns: int) -> None:
    """
    Write the outcomes in the journals of earlier processes, and remove the journals. Nothing else may run on
    this ledger meanwhile. It may be interrupted and repeated.

    A journal that cannot be read is renamed, and so is one with an outcome that cannot be written. What
    is not written becomes `unknown`, and no later start reads the journal.

    Args:
        ledger: Locked by this process.
        place: Where the journals are.
        instance: This process.
        now_ns: Wall clock.

    Raises:
        LedgerError: the ledger does not work.
    """
    own = place.file(instance)
    for file in place.find():
        if file != own:
            _replay_file(ledger, file, now_ns=now_ns)


def _replay_file(ledger: Ledger, file: Path, *, now_ns: int) -> None:
    try:
        content = journal.read(file)
    except FileNotFoundError:
        return
    except (NotAJournal, OSError) as error:
        _set_aside(file, error)
        return
    if not knows(ledger, content.instance):
        _log_foreign(file, content)
        return
    crash_points.passed("journal-replay")
    is_complete = _replay(ledger, file, content, now_ns=now_ns)
    crash_points.passed("journal-replayed")
    try:
        if is_complete:
            file.unlink()
        else:
            journal.set_aside(file)
    except OSError:
        log.exception("a journal that was replayed cannot be removed", journal=str(file))


def _replay(ledger: Ledger, file: Path, content: JournalContent, *, now_ns: int) -> bool:
    """Write what a journal holds; return whether the ledger has all of it."""
    items: list[Recordable] = []
    for record in content.records:
        try:
            items.append(from_record(record))
        except (ValueError, KeyError, TypeError) as error:
            log.error("a record of the journal is not valid", journal=str(file), error=repr(error))
    written, refused = replay(ledger, items, instance=content.instance, now_ns=now_ns)
    for identity, refusal in refused:
        log.error(
            "the ledger does not take an outcome of the journal",
            journal=str(file),
            occurrence=str(identity),
            error=refusal.message,
        )
    if content.damaged:
        log.warning("a journal ends in the middle of a record", journal=str(file), records=content.damaged)
    if items:
        known = len(items) - written - len(refused)
        log.info("outcomes of the journal are written", written=written, known=known)
    return not refused and len(items) == len(content.records)


def _log_foreign(file: Path, content: JournalContent) -> None:
    """Log that a journal belongs to another ledger. Without records it may be of a process that runs."""
    if content.records:
        log.warning(
            "a journal belongs to another ledger, it stays as it is",
            journal=str(file),
            outcomes=len(content.records),
        )


def _set_aside(file: Path, error: Exception) -> None:
    moved = file
    try:
        moved = journal.set_aside(file)
    except OSError:
        log.exception("a journal cannot be renamed", journal=str(file))
    log.error(
        "a journal cannot be read, what it held is unknown",
        journal=str(moved),
        error=getattr(error, "strerror", None) or str(error),
    )
