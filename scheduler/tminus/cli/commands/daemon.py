"""`daemon`: run the scheduler in the foreground."""

import os
from functools import partial

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.problems import print_problems
from tminus.daemon.log import log_output
from tminus.daemon.main import Daemon
from tminus.jobsfile.load import Loaded
from tminus.operations.inspect_app import discover_code_jobs

#: Thousands of warnings would fill the log at each start.
_MOST_WARNINGS = 20


@click.command(cls=Command, short_help="Run the scheduler in the foreground.")
def daemon(invocation: Invocation) -> int:
    """
    Run the scheduler in the foreground. After SIGTERM or SIGINT, what runs may finish (shutdown_grace).
    SIGHUP reads the jobs file again.

    \b
    tminus daemon -c /etc/tminus/jobs.yaml
    """
    output = invocation.output
    log_output.set_up(verbose=output.verbose, quiet=output.quiet, color=output.color)
    loaded = _load_whole(invocation)
    definitions, warnings = invocation.definitions(loaded), loaded.warnings
    print_problems(output, warnings[:_MOST_WARNINGS])
    if len(warnings) > _MOST_WARNINGS:
        output.say_always(f"{len(warnings) - _MOST_WARNINGS} more warnings: `tminus validate` shows them")
    open_ledger = partial(invocation.open_ledger, create=True)
    running = Daemon(
        invocation.file, definitions, open_ledger, clock=invocation.clock, since_ns=invocation.started_ns
    )
    status = running.run()
    log_output.flush()
    # Everything is written, and the lock is released. A normal end might wait for threads that hang.
    os._exit(status)


def _load_whole(invocation: Invocation) -> Loaded:
    """
    Load the file with the jobs in code that the ledger knows.

    These jobs may be old. If the file is not valid with them, load it alone: the runners report their jobs
    later. If it is not valid alone either, because it names jobs in code, ask the applications.
    """
    file, loaded = invocation.file, invocation.load(need_secrets=True)
    if loaded.definitions is None and file.apps:
        loaded = file.load()
    if loaded.definitions is None and file.apps:
        answers = discover_code_jobs(file.apps.values(), file.folder)
        loaded = file.load(job for answer in answers.values() for job in answer.code_jobs)
    return loaded
