"""Requests to the daemon: write one, and wait for the answer if a daemon runs."""

from collections.abc import Mapping
from typing import Any

from tminus.cli.invocation import Invocation
from tminus.errors import DaemonNeeded, NoLedger, TminusError
from tminus.instants import MS, SECOND
from tminus.ledger import instances, requests
from tminus.ledger.engine import Ledger, check_schema
from tminus.ledger.instances import Instance
from tminus.ledger.lock import is_held
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.ledger.urls import parse_url
from tminus.operations.published_ledger import published, text_of
from tminus.operations.running_daemon import daemon_of

#: The time within which a daemon takes a request.
_TAKEN_NS = 5 * SECOND
LOOK_NS = 50 * MS
_START_ONE = "tminus daemon starts one"


class Refused(TminusError):
    """The error with which the daemon has answered a request. Message and exit code are the daemon's."""

    def __init__(self, answered: RequestRow) -> None:
        body = answered.answer or {}
        super().__init__(str(body["error"]), hint=body.get("hint"))
        self.exit_code = int(body["exit_code"])


def ask_operator(
    invocation: Invocation, kind: RequestKind, body: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """
    Send the request of an operator's command to the daemon.

    Returns:
        The answer. None if the request waits in the ledger, which stderr says.

    Raises:
        Refused: the daemon refuses.
        DaemonNeeded: the daemon does not answer, or uses another ledger.
        LedgerError: the ledger does not work.
    """
    if other_daemon := find_other_daemon(invocation):
        raise other_daemon
    answered = send(invocation, invocation.open_ledger(create=True), kind, body)
    return None if answered is None else answered.answer or {}


def send(
    invocation: Invocation, ledger: Ledger, kind: RequestKind, body: Mapping[str, Any]
) -> RequestRow | None:
    """
    Write a request; return it with its answer, or None if it waits in the ledger, which stderr says.

    Raises:
        Refused, DaemonNeeded, LedgerError: as `ask_operator`.
    """
    check_schema(ledger)
    clock = invocation.clock
    request = requests.add_request(ledger, kind, body, now_ns=clock.wall_ns(), by=invocation.user)
    holder = instances.latest(ledger)
    is_running = holder is not None and not holder.is_stopping(clock.wall_ns())
    if holder is None or not is_running or holder.kind != "daemon" or not is_held(ledger):
        invocation.output.say_unless_quiet(
            "no daemon runs on this ledger: the request waits until one starts"
        )
        return None
    answered = await_answer(invocation, ledger, request, withdraw=False)
    if answered is None and is_silent(invocation, ledger, holder):
        if requests.withdraw(ledger, request, now_ns=clock.wall_ns()):
            raise silent_error(str(holder))
        answered = await_answer(invocation, ledger, request)
    if answered is None:
        invocation.output.say_unless_quiet(f"{holder} has not taken the request yet; it waits in the ledger")
    return answered


def await_answer(
    invocation: Invocation, ledger: Ledger, request: RequestRow, *, withdraw: bool = True
) -> RequestRow | None:
    """
    Wait for the daemon's answer; return the request with it. If the request was not taken in time, return
    None, and withdraw it if `withdraw`.

    Raises:
        Refused: the daemon refuses.
    """
    until_ns = invocation.clock.monotonic_ns() + _TAKEN_NS
    while invocation.clock.monotonic_ns() < until_ns:
        seen = requests.get_request(ledger, request.id)
        if seen.answer is not None:
            if "error" in seen.answer:
                raise Refused(seen)
            return seen
        invocation.clock.pause(LOOK_NS)
    if withdraw and not requests.withdraw(ledger, request, now_ns=invocation.clock.wall_ns()):
        return await_answer(invocation, ledger, request)  # the daemon has taken it in the last moment
    return None


def is_silent(invocation: Invocation, ledger: Ledger, holder: Instance) -> bool:
    """Return whether this daemon still holds the lock, but its last heartbeat is old."""
    last = instances.latest(ledger)
    return (
        last is not None
        and last.id == holder.id
        and not last.is_fresh(invocation.clock.wall_ns())
        and is_held(ledger)
    )


def silent_error(who: str) -> DaemonNeeded:
    """Return the error of a holder of the ledger that does not answer."""
    return DaemonNeeded(
        f"{who} holds the ledger and does not answer", hint="is it stopped, or stuck? see `tminus status`"
    )


def daemon_ledger(invocation: Invocation) -> Ledger:
    """
    Open the ledger of a command that needs its daemon, see `need_daemon`.

    Raises:
        DaemonNeeded: there is no ledger, and so no daemon.
        LedgerError: it does not work.
    """
    try:
        return invocation.open_ledger()
    except NoLedger as error:
        raise DaemonNeeded(f"no daemon on this ledger: {error.message}", hint=_START_ONE) from None


def need_daemon(invocation: Invocation, ledger: Ledger) -> Instance:
    """
    Return the daemon that runs on the ledger.

    Raises:
        DaemonNeeded: there is none.
    """
    daemon = daemon_of(ledger, invocation.clock.wall_ns())
    if daemon is None:
        raise DaemonNeeded("no daemon on this ledger", hint=_START_ONE)
    return daemon


def find_other_daemon(invocation: Invocation) -> DaemonNeeded | None:
    """
    Return the error if a daemon runs the jobs of the same file on another ledger: this command must not run
    them, too.
    """
    path, own_ledger = invocation.path, text_of(parse_url(invocation.ledger_place[0].value))
    for one in published(path):
        if one.ledger == own_ledger:
            continue
        who = f"the daemon with pid {one.pid} runs the jobs of {path}"
        if one.ledger is None:
            error = DaemonNeeded(f"{who} and does not say on which ledger", hint="is it stopped, or stuck?")
        else:
            error = DaemonNeeded(
                f"{who} on another ledger: {one.ledger}", hint=f"ask it with --ledger {one.ledger}"
            )
        if one.is_trusted:
            return error
        invocation.output.say_unless_quiet(f"warning: a process of another user says: {error.message}")
    return None
