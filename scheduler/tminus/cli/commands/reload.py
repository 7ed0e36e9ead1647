"""`reload`: put the jobs file and the applications' code, as they are now, into force."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.output import CommandOutput
from tminus.cli.request_client import LOOK_NS, daemon_ledger, need_daemon, send
from tminus.errors import TminusError
from tminus.instants import SECOND
from tminus.ledger import history, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.operations.config_changes import UNKNOWN_CHANGES, ConfigChanges, compare

#: A reload starts new runners, which import their applications.
_LONGEST_NS = 120 * SECOND
_SEE_STATUS = "`tminus status` shows what is in force"


@click.command(cls=Command, short_help="Put the jobs file and the applications' code into force.")
@click.option("--plan", is_flag=True, help="Only show what would change in the jobs.")
def reload(invocation: Invocation, plan: bool) -> int:
    """
    Put the jobs file and the code of the applications, as they are now, into force between two batches. Wait
    until they are, and print which jobs have changed and which applications were imported anew. Exit status
    1 if the old ones stay in force, 2 if the file is not valid, 3 without a daemon.

    \b
    tminus reload --plan
    tminus reload
    """
    output = invocation.output
    definitions = invocation.definitions(invocation.load())
    with closing(daemon_ledger(invocation)) as ledger:
        old_version = need_daemon(invocation, ledger).config_version or ""
        if plan:
            _print(output, _changes(ledger, old_version, definitions.text), {"config_version": old_version})
            return 0
        answer = _reload(invocation, ledger)
        apps = () if answer["problem"] else list(definitions.apps)
        new_text = history.config_text(ledger, answer["config_version"]) or definitions.text
        _print(output, _changes(ledger, old_version, new_text), {**answer, "imported": apps})
    if answer["problem"]:
        raise TminusError(answer["problem"])
    return 0


def _reload(invocation: Invocation, ledger: Ledger) -> Mapping[str, Any]:
    """Ask the daemon to reload; return its answer once it has done so, or has given up."""
    request = send(invocation, ledger, RequestKind.RELOAD, {})
    if request is None:
        need_daemon(invocation, ledger)
        raise TminusError(
            "the old configuration stays in force until the daemon takes the request", hint=_SEE_STATUS
        )
    until_ns = invocation.clock.monotonic_ns() + _LONGEST_NS
    while invocation.clock.monotonic_ns() < until_ns:
        answer = _answer(ledger, request)
        if "config_version" in answer:
            return answer
        invocation.clock.pause(LOOK_NS)
    raise TminusError("the daemon has not finished the reload", hint=_SEE_STATUS)


def _answer(ledger: Ledger, request: RequestRow) -> Mapping[str, Any]:
    return requests.get_request(ledger, request.id).answer or {}


def _changes(ledger: Ledger, old_version: str, new_text: str) -> ConfigChanges:
    old_text = history.config_text(ledger, old_version)
    return UNKNOWN_CHANGES if old_text is None else compare(old_text, new_text)


def _print(output: CommandOutput, changes: ConfigChanges, answer: Mapping[str, Any]) -> None:
    if output.as_json:
        output.json({**answer, **changes.as_json()})
        return
    rows = [
        *(("added", name, "") for name in changes.added),
        *(("removed", name, "") for name in changes.removed),
        *(("changed", name, ", ".join(keys)) for name, keys in changes.changed.items()),
    ]
    if rows:
        output.table(("CHANGE", "JOB", "KEYS"), rows)
    elif changes.are_known:
        output.line("no job changes")
    else:
        output.line("job changes unknown: the ledger does not have the configuration before")
    for app in answer.get("imported", ()):
        output.line(f"imported anew: {app}")
    output.line(f"in force: {answer['config_version']}")
