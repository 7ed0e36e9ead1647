"""`daemon`: the scheduler, in the foreground."""

import os
from functools import partial

import click

from scheduler.cli.invocation import Invocation
from scheduler.cli.main import Command
from scheduler.cli.problems import print_problems
from scheduler.daemon import logs
from scheduler.daemon.main import Daemon
from scheduler.jobsfile.load import Loaded
from scheduler.operations.ask_app import ask_for_code

#: A journal is no place for thousands of them at each start.
_MOST_WARNINGS = 20


@click.command(cls=Command, short_help="The scheduler, in the foreground.")
def daemon(invocation: Invocation) -> int:
    """
    The scheduler, in the foreground. SIGTERM and SIGINT let what runs finish (shutdown_grace), SIGHUP reads the jobs file again.

    \b
    tminus daemon -c /etc/tminus/jobs.yaml
    """
    output = invocation.output
    logs.set_up(verbose=output.verbose, quiet=output.quiet, color=output.color)
    invocation.needs_secrets = True
    invocation.loaded = _whole(invocation)
    definitions = invocation.definitions
    warnings = invocation.loaded.warnings
    print_problems(output, warnings[:_MOST_WARNINGS])
    if len(warnings) > _MOST_WARNINGS:
        output.message(f"{len(warnings) - _MOST_WARNINGS} more warnings: `tminus validate` shows them")
    open_ledger = partial(invocation.open_ledger, create=True)
    running = Daemon(invocation.file, definitions, open_ledger, clock=invocation.clock, since_ns=invocation.started_ns)
    status = running.run()
    logs.flush()
    # All is written, and the lock is given back. What the interpreter does at its end may wait for threads that hang.
    os._exit(status)


def _whole(invocation: Invocation) -> Loaded:
    """
    The file and what the ledger knows of the applications' code. That may be old: where the two do not go together the file
    counts alone, until the runners have spoken; and where it does not stand alone, for it names jobs of theirs, they are asked.
    """
    file, loaded = invocation.file, invocation.loaded
    if loaded.definitions is None and file.apps:
        loaded = file.load()
    if loaded.definitions is None and file.apps:
        answers = ask_for_code(file.apps.values(), file.folder)
        loaded = file.load(job for answer in answers.values() for job in answer.code)
    return loaded
