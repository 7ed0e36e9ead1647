"""`daemon`: the scheduler, in the foreground."""

import click

from scheduler.cli.invocation import Invocation
from scheduler.cli.main import Command
from scheduler.cli.problems import print_problems
from scheduler.daemon import logs
from scheduler.daemon.main import Daemon


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
    definitions = invocation.definitions
    print_problems(output, invocation.loaded.warnings)
    ledger = invocation.open_ledger(create=True)
    running = Daemon(invocation.path, definitions, ledger, clock=invocation.clock, since_ns=invocation.started_ns)
    return running.run()
