"""Confirmation of a command that changes several jobs which were not named one by one."""

import sys

import click

from tminus.errors import UsageError
from tminus.operations.select import Selected


def confirm(selected: Selected, verb: str, *, yes: bool) -> None:
    """
    Ask for confirmation if it is needed.

    Args:
        selected: The jobs.
        verb: What is done with them.
        yes: Whether it is confirmed already.

    Raises:
        UsageError: it is needed, and there is no terminal to ask on.
        click.Abort: it was denied.
    """
    if yes or not selected.by_pattern or len(selected.names) < 2:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"this {verb}s {len(selected.names)} jobs", hint="--yes confirms it")
    if not click.confirm(f"{verb} {len(selected.names)} jobs?", err=True):
        raise click.Abort
