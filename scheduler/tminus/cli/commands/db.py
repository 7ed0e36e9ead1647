"""`db`: look after the ledger."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command, CommandGroup, common_options
from tminus.errors import TminusError
from tminus.ledger import instances
from tminus.ledger.copy import back_up, copy_rows, count_rows, integrity_faults
from tminus.ledger.engine import Ledger, bring_up_to_date, open_ledger
from tminus.ledger.lock import lock_of


@click.group(cls=CommandGroup, params=common_options(), short_help="Look after the ledger.")
def db(**_: object) -> None:
    """Look after the ledger: check it, back it up, copy it to another database, migrate it."""


@db.command(cls=Command, short_help="Migrate the ledger to the schema of this tminus.")
def upgrade(invocation: Invocation) -> int:
    """
    Migrate the ledger to the schema of this tminus. The daemon does that by itself at its start.

    \b
    tminus db upgrade
    """
    place, group = invocation.ledger_place
    with closing(
        open_ledger(place.value, group=group, create=False, upgrade=False, upgrade_later=True)
    ) as ledger:
        old = ledger.old_schema
        with _locked(ledger):
            bring_up_to_date(ledger)
    invocation.output.line("the ledger is up to date" if old is None else f"migrated from schema {old}")
    return 0


@db.command(cls=Command, short_help="Check that the ledger is whole.")
def check(invocation: Invocation) -> int:
    """
    Check that the ledger is whole. A daemon may run meanwhile. Exit status 1 if something is wrong.

    \b
    tminus db check
    """
    with closing(invocation.open_ledger()) as ledger:
        faults = integrity_faults(ledger)
    if invocation.output.as_json:
        invocation.output.json({"faults": faults})
    elif not faults:
        invocation.output.line("the ledger is whole")
    for fault in faults if not invocation.output.as_json else ():
        invocation.output.line(fault)
    if faults:
        invocation.output.say_unless_quiet(
            "hint: stop the daemon, move the damaged ledger away and keep it, and put a backup in its place"
        )
    return 1 if faults else 0


@db.command(cls=Command, short_help="Write a copy of a SQLite ledger into a new file.")
@click.argument("file", type=click.Path(path_type=Path))
def backup(invocation: Invocation, file: Path) -> int:
    """
    Write a consistent copy of a SQLite ledger into a new file, while the daemon runs.

    \b
    tminus db backup /var/backups/tminus-2026-11-29.db
    """
    with closing(invocation.open_ledger()) as ledger:
        back_up(ledger, file)
    invocation.output.line(f"{file}: {file.stat().st_size} bytes")
    return 0


@db.command(cls=Command, short_help="Copy the ledger into another, empty database.")
@click.argument("url", metavar="URL")
def copy(invocation: Invocation, url: str) -> int:
    """
    Copy the ledger into another, empty database, from SQLite to PostgreSQL or back. No daemon may run. Then
    set `ledger:` in the jobs file to the new one.

    \b
    tminus db copy postgresql+psycopg://tminus@db.example.com/tminus
    """
    with ExitStack() as stack:
        source = stack.enter_context(closing(invocation.open_ledger()))
        target = stack.enter_context(closing(open_ledger(url)))
        stack.enter_context(_locked(source))
        stack.enter_context(_locked(target))
        rows = count_rows(source)
        copy_rows(source, target, on_rows=stack.enter_context(invocation.output.progress(rows)))
    invocation.output.line(f"{rows} rows copied")
    return 0


@contextmanager
def _locked(ledger: Ledger) -> Iterator[None]:
    """
    Hold the ledger's lock in this block.

    Raises:
        TminusError: a process runs jobs on the ledger.
    """
    lock = lock_of(ledger)
    if not lock.acquire():
        holder = instances.latest(ledger)
        raise TminusError(f"the ledger {ledger.url!r} is in use by {holder}", hint="stop it first")
    try:
        yield
    finally:
        lock.release()
