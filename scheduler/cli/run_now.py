"""`tminus run-now`: ask the daemon, or run the jobs here if there is none; wait, and show the outcomes."""

import threading
from collections.abc import Sequence

from scheduler.cli.invocation import Invocation
from scheduler.cli.output import duration, offset
from scheduler.errors import DaemonNeeded, NoLedger, TminusError
from scheduler.instants import SECOND
from scheduler.ledger import history, instances, requests
from scheduler.ledger.databases import parse_url
from scheduler.ledger.engine import Ledger, bring_up_to_date, check_schema
from scheduler.ledger.instances import Instance
from scheduler.ledger.lock import Lock, is_held, lock_of
from scheduler.ledger.requests import Kind, Request
from scheduler.model.occurrence import Occurrence, OccurrenceId
from scheduler.operations.published_ledger import published, text_of
from scheduler.operations.run_now import Wish, check
from scheduler.operations.times import local
from scheduler.outcome import Outcome

#: A daemon that has not taken a request by then will not take it.
_TAKEN_NS = 5 * SECOND
#: A daemon that has ended is started again by then, or not at all.
_GONE_NS = 15 * SECOND
_LOOK_S = 0.05
#: Time between two looks at whether it is this command's turn.
_TURN_S = 0.2


class Refused(TminusError):
    """The error with which the daemon has answered a request, with its message and exit code."""

    def __init__(self, answer: Request) -> None:
        said = answer.answer or {}
        super().__init__(str(said["error"]), hint=said.get("hint"))
        self.exit_code = int(said["exit_code"])


def run_now(invocation: Invocation, wish: Wish, *, wait: bool) -> int:
    """Run jobs now; return the exit status: 0 if all succeeded, 1 if one did not."""
    definitions, output, clock = invocation.definitions, invocation.output, invocation.clock
    check(wish, definitions, now_ns=clock.wall_ns())
    for name in wish.jobs:
        if definitions.jobs[name].suspended:
            output.say(f"{name} is suspended; it runs all the same")
    elsewhere = _elsewhere(invocation)
    try:
        ledger = invocation.open_ledger(create=elsewhere is None or not wait)
    except NoLedger:
        if elsewhere is not None:
            raise elsewhere from None
        raise
    if not wait:
        if elsewhere is not None:
            output.say(f"warning: {elsewhere.message}")
        return _leave_it(invocation, ledger, wish)
    follower, lock = _Follower(invocation, ledger), lock_of(ledger)
    try:
        answer = _answer_or_lock(invocation, ledger, wish, lock)
        if answer is None:
            if elsewhere is not None:
                raise elsewhere
            _run_here(invocation, ledger, wish, lock, follower)
            return follower.report()
    finally:
        lock.release()
    said = answer.answer or {}
    try:
        follower.follow([OccurrenceId.parse(text) for text in said["occurrences"]], int(said["planned_at_ns"]))
    except KeyboardInterrupt:
        invocation.output.say("what was asked for goes on in the daemon; tminus history shows it")
        raise
    return follower.report()


def _elsewhere(invocation: Invocation) -> DaemonNeeded | None:
    """Return the error if a daemon runs the jobs of the same file on another ledger: this command must not run them, too."""
    path, mine = invocation.path, text_of(parse_url(invocation.ledger_place[0].value))
    for one in published(path):
        if one.ledger == mine:
            continue
        who = f"the daemon with pid {one.pid} runs the jobs of {path}"
        if one.ledger is None:
            error = DaemonNeeded(f"{who} and does not say on which ledger", hint="is it stopped, or stuck?")
        else:
            error = DaemonNeeded(f"{who} on another ledger: {one.ledger}", hint=f"ask it with --ledger {one.ledger}")
        if one.is_trusted:
            return error
        invocation.output.say(f"warning: a process of another user says: {error.message}")
    return None


def _answer_or_lock(invocation: Invocation, ledger: Ledger, wish: Wish, lock: Lock) -> Request | None:
    """
    Wait in turn until this process has the lock or a daemon has it, and ask the daemon.

    Returns:
        The daemon's answer; None if this process has the lock.

    Raises:
        DaemonNeeded: the holder gives no sign of life.
    """
    output, clock, waits_for = invocation.output, invocation.clock, ""
    known_ns = clock.monotonic_ns()
    while not lock.acquire():
        check_schema(ledger)
        holder = instances.latest(ledger)
        if holder is not None and holder.kind == "daemon" and holder.is_stopping(clock.wall_ns()):
            who, known_ns = f"the {holder}, which is stopping", clock.monotonic_ns()
        elif holder is None or holder.stopped_ns is not None:  # a process that has just taken the lock has no row yet
            who = "another process"
            if clock.monotonic_ns() - known_ns > instances.STALE_NS:
                raise _silent(who)
        else:
            who = f"the {holder}"
            if holder.kind == "daemon" and (answer := _ask(invocation, ledger, wish)):
                return answer
            if holder.kind == "daemon" and _is_silent(invocation, ledger, holder):
                raise _silent(str(holder))
            known_ns = clock.monotonic_ns()
        if waits_for != who:
            output.say(f"waiting for {who}, which holds the ledger")
            waits_for = who
        threading.Event().wait(_TURN_S)
    return None


def _ask(invocation: Invocation, ledger: Ledger, wish: Wish) -> Request | None:
    """Ask the daemon; return the answered request. If the daemon does not take it, withdraw it and return None."""
    request = requests.ask(ledger, Kind.RUN_NOW, wish.as_body(), now_ns=invocation.clock.wall_ns())
    return _await_answer(invocation, ledger, request)


def _is_silent(invocation: Invocation, ledger: Ledger, holder: Instance) -> bool:
    """Return whether this daemon still holds the lock, but its last heartbeat is old."""
    last = instances.latest(ledger)
    return last is not None and last.id == holder.id and not last.is_fresh(invocation.clock.wall_ns()) and is_held(ledger)


def _silent(who: str) -> DaemonNeeded:
    return DaemonNeeded(f"{who} holds the ledger and does not answer", hint="is it stopped, or stuck? see `tminus status`")


def _leave_it(invocation: Invocation, ledger: Ledger, wish: Wish) -> int:
    check_schema(ledger)
    request = requests.ask(ledger, Kind.RUN_NOW, wish.as_body(), now_ns=invocation.clock.wall_ns())
    holder, found = instances.latest(ledger), list[Occurrence]()
    is_running = holder is not None and not holder.is_stopping(invocation.clock.wall_ns())
    if holder is not None and is_running and holder.kind == "daemon" and is_held(ledger):
        answer = _await_answer(invocation, ledger, request, withdraw=False)
        if answer is None and _is_silent(invocation, ledger, holder):
            if requests.withdraw(ledger, request, now_ns=invocation.clock.wall_ns()):
                raise _silent(str(holder))
            answer = _await_answer(invocation, ledger, request)
        if answer is not None:
            found = history.of_ids(ledger, [OccurrenceId.parse(text) for text in (answer.answer or {})["occurrences"]])
        else:
            invocation.output.say(f"{holder} has not taken it yet: what was asked for waits in the ledger")
    else:
        invocation.output.say("no daemon runs on this ledger: what was asked for waits until one starts")
    if invocation.output.as_json:
        invocation.output.json([one.as_json() for one in found])
    for one in found if not invocation.output.as_json else ():
        invocation.output.line(str(one.id))
    return 0


def _await_answer(invocation: Invocation, ledger: Ledger, request: Request, *, withdraw: bool = True) -> Request | None:
    """Wait for the daemon's answer; return None if the request was not taken in time, and withdraw it if `withdraw`."""
    until_ns = invocation.clock.monotonic_ns() + _TAKEN_NS
    while invocation.clock.monotonic_ns() < until_ns:
        seen = requests.look_at(ledger, request)
        if seen.answer is not None:
            if "error" in seen.answer:
                raise Refused(seen)
            return seen
        threading.Event().wait(_LOOK_S)
    if withdraw and not requests.withdraw(ledger, request, now_ns=invocation.clock.wall_ns()):
        return _await_answer(invocation, ledger, request)  # the daemon has taken it in the last moment
    return None


def _run_here(invocation: Invocation, ledger: Ledger, wish: Wish, lock: Lock, follower: "_Follower") -> None:
    # With the executor's supervisor: not for those who only ask.
    from scheduler.cli.run_here import run_here
    from scheduler.daemon import logs

    logs.set_up(quiet=not invocation.output.verbose, color=invocation.output.color)
    invocation.output.say("no daemon runs on this ledger: this command runs what was asked for")
    bring_up_to_date(ledger)
    ledger.guard = lock.check
    run_here(ledger, invocation.definitions, wish, clock=invocation.clock, follow=follower.follow)


class _Follower:
    """Waits for occurrences to end, and shows the progress and the outcomes."""

    def __init__(self, invocation: Invocation, ledger: Ledger) -> None:
        self._invocation = invocation
        self._output = invocation.output
        self._ledger = ledger
        self._ids: Sequence[OccurrenceId] = ()
        self._ended: list[Occurrence] = []

    def follow(self, ids: Sequence[OccurrenceId], planned_at_ns: int) -> None:
        """Wait until all these occurrences have an outcome and their chains have ended."""
        self._ids = ids
        jobs = f"{len(ids)} job{'' if len(ids) == 1 else 's'}"
        self._output.say(f"T {local(planned_at_ns, self._invocation.zone)}, {jobs}")
        with self._output.progress(len(ids)) as advance:
            held_ns = self._invocation.clock.monotonic_ns()
            while len(self._ended) < len(ids):
                threading.Event().wait(_LOOK_S)
                self._ended = [one for one in history.of_ids(self._ledger, ids) if one.is_over]
                advance(len(self._ended))
                now_ns = self._invocation.clock.monotonic_ns()
                if is_held(self._ledger):
                    held_ns = now_ns
                elif now_ns - held_ns > _GONE_NS and len(self._ended) < len(ids):
                    hint = f"the next start decides; tminus history {' '.join(dict.fromkeys(one.job for one in ids))}"
                    raise DaemonNeeded("the daemon has ended before all of it had run", hint=hint)

    def report(self) -> int:
        """Print the outcomes; return the exit status."""
        newest = sorted(history.of_ids(self._ledger, self._ids), key=lambda one: one.id, reverse=True)
        bad = [one for one in newest if one.outcome is not Outcome.SUCCEEDED]
        if self._output.as_json:
            self._output.json([one.as_json() for one in newest])
            return 1 if bad else 0
        self._output.table(
            ("OUTCOME", "JOB", "STATUS", "OFFSET", "DURATION", "REASON"),
            [
                (
                    self._output.mark(one.outcome.value if one.outcome else one.state.value),
                    one.id.job,
                    str(one.http_status or ""),
                    offset(one.start_offset_ns),
                    duration(one.duration_ns),
                    one.reason or "",
                )
                for one in sorted(newest, key=lambda one: self._ids.index(one.id))
            ],
            right=("OFFSET", "DURATION"),
        )
        if bad:
            self._output.say(f"{len(bad)} of {len(newest)} did not succeed; what came back: tminus logs {bad[0].id}")
        return 1 if bad else 0
