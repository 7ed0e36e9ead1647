"""Sentences for what can be wrong with the file of a SQLite ledger."""

import contextlib
import os
import stat
from pathlib import Path

from tminus.errors import LedgerError

#: Primary result codes of SQLite, sqlite.org/rescode.html.
_BUSY, _LOCKED, _CORRUPT, _FULL, _NOT_A_DATABASE = 5, 6, 11, 13, 26


def explain(path: Path, report: str, *, sqlite_code: int = 0) -> LedgerError:
    """
    Return the error for a problem with the file of a ledger, which the system or SQLite has reported.

    Args:
        path: The file.
        report: What the system or SQLite says.
        sqlite_code: The primary result code; 0 if the report is the system's.
    """
    try:
        status = path.stat()
    except PermissionError:
        return not_permitted(path, path.parent)
    except OSError:
        return LedgerError(
            f"the ledger {path} cannot be created: {report}", hint=_hint_for_folder(path.parent)
        )
    if stat.S_ISDIR(status.st_mode):
        return LedgerError(f"the ledger {path} is a directory", hint="name a file in it")
    if not stat.S_ISREG(status.st_mode):
        return LedgerError(f"the ledger {path} is not a file", hint="name another place with --ledger")
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return LedgerError(
            f"the file system of the ledger {path} is read-only",
            hint="mount it for writing, or name another place",
        )
    if not os.access(path, os.R_OK | os.W_OK):
        return not_permitted(path, path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return not_permitted(path, path.parent)
    if sqlite_code in (_NOT_A_DATABASE, _CORRUPT):
        hint = (
            "restore it from a backup, or move it away and start afresh; sqlite3's .recover may save some "
            "of it"
        )
        return LedgerError(f"{path} is not a tminus ledger, or is damaged: {report}", hint=hint)
    if sqlite_code in (_BUSY, _LOCKED):
        return LedgerError(
            f"the ledger {path} is held by another writer: {report}",
            hint="look for a long transaction, or a backup",
        )
    if sqlite_code == _FULL:
        return LedgerError(
            f"the disk of the ledger {path} is full",
            hint="free some space; nothing starts until it can be stored",
        )
    return LedgerError(f"the ledger {path} does not work: {report}", hint="see `tminus doctor`")


def not_permitted(path: Path, at: Path) -> LedgerError:
    """Return the error for a ledger whose file or folder this user may not use."""
    with contextlib.suppress(OSError, KeyError):
        owner, group = at.owner(), at.group()
        message = f"not permitted to open the ledger {path}: it is {owner}'s, group {group}"
        return LedgerError(
            message,
            hint=f"join the group {group} and set `daemon: {{ledger_group: {group}}}`, or run as {owner}",
        )
    return LedgerError(f"not permitted to open the ledger {path}", hint="see `daemon: {ledger_group: …}`")


def _hint_for_folder(folder: Path) -> str:
    if os.path.exists(folder) and not os.path.isdir(folder):
        return f"{folder} is not a folder; name another place with --ledger"
    if not os.path.exists(folder):
        return f"{folder} is missing, and this user cannot create it; name another place with --ledger"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is not writable for this user; name another place with --ledger"
    return "mend that, or name another place with --ledger"
