"""`tminus run-now`: ask the daemon, or run the jobs here if there is none; wait, and show the outcomes."""

from collections.abc import Sequence

from tminus.cli.invocation import InForce, Invocation
from tminus.cli.output import duration, offset
from tminus.cli.request_client import LOOK_NS, await_answer, find_other_daemon, is_silent, send, silent_error
from tminus.errors import DaemonNeeded, NoLedger
from tminus.instants import SECOND
from tminus.ledger import history, instances, requests
from tminus.ledger.engine import Ledger, bring_up_to_date, check_schema
from tminus.ledger.lock import Lock, is_held, lock_of, wait_in_queue
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.model.definitions import Definitions
from tminus.model.occurrence import Occurrence, OccurrenceId
from tminus.operations.run_now import RunNowRequest, check
from tminus.operations.times import local

#: The time within which a daemon that has ended may come back.
_GONE_NS = 15 * SECOND


def run_now(invocation: Invocation, in_force: InForce, run_request: RunNowRequest, *, wait: bool) -> int:
    """
    Run jobs now; return the exit status: 0 if all succeeded, and no chain failed; otherwise 1.

    Raises:
        DaemonNeeded: no daemon takes the request, and this command cannot run the jobs itself.
        LedgerError: the ledger does not work.
    """
    output, clock, definitions = invocation.output, invocation.clock, in_force.definitions
    check(run_request, definitions, now_ns=clock.wall_ns())
    _say_what_runs_anyway(invocation, definitions, run_request.jobs)
    other_daemon = find_other_daemon(invocation)
    try:
        ledger = invocation.open_ledger(create=other_daemon is None or not wait)
    except NoLedger:
        if other_daemon is not None:
            raise other_daemon from None
        raise
    if not wait:
        if other_daemon is not None:
            output.say_unless_quiet(f"warning: {other_daemon.message}")
        return _leave_request(invocation, ledger, run_request)
    follower, lock = _Follower(invocation, ledger), lock_of(ledger)
    try:
        answered = _answer_or_lock(invocation, ledger, run_request, lock)
        if answered is None:
            if other_daemon is not None:
                raise other_daemon
            if in_force.is_stored:
                hint = f"correct {invocation.path}: tminus validate"
                raise DaemonNeeded(
                    "the daemon has ended, and without it run-now needs a valid jobs file", hint=hint
                )
            _run_here(invocation, definitions, ledger, run_request, lock, follower)
            return follower.report()
    finally:
        lock.release()
    body = answered.answer or {}
    try:
        follower.follow(
            [OccurrenceId.parse(text) for text in body["occurrences"]], int(body["planned_at_ns"])
        )
    except KeyboardInterrupt:
        invocation.output.say_unless_quiet("the jobs go on in the daemon; tminus history shows them")
        raise
    return follower.report()


def _say_what_runs_anyway(invocation: Invocation, definitions: Definitions, jobs: Sequence[str]) -> None:
    pauses = invocation.find_withheld().pauses
    for name in jobs:
        if definitions.jobs[name].suspended:
            invocation.output.say_unless_quiet(f"{name} is suspended; it runs anyway")
        if name in pauses:
            invocation.output.say_unless_quiet(f"{name} is {pauses[name]}; it runs anyway")


def _answer_or_lock(
    invocation: Invocation, ledger: Ledger, run_request: RunNowRequest, lock: Lock
) -> RequestRow | None:
    """
    Wait in turn until this process has the lock or a daemon has it, and ask the daemon.

    Returns:
        The answered request; None if this process has the lock.

    Raises:
        DaemonNeeded: the holder gives no sign of life.
    """
    output, clock, waits_for = invocation.output, invocation.clock, ""
    known_ns = clock.monotonic_ns()
    for _ in wait_in_queue(lock, pause=clock.pause):
        check_schema(ledger)
        holder = instances.latest(ledger)
        if holder is not None and holder.kind == "daemon" and holder.is_stopping(clock.wall_ns()):
            who, known_ns = f"the {holder}, which is stopping", clock.monotonic_ns()
        elif holder is None or holder.stopped_ns is not None:
            # A process that has just taken the lock has no row yet.
            who = "another process"
            if clock.monotonic_ns() - known_ns > instances.STALE_NS:
                raise silent_error(who)
        else:
            who = f"the {holder}"
            if holder.kind == "daemon" and (answered := _ask(invocation, ledger, run_request)):
                return answered
            if holder.kind == "daemon" and is_silent(invocation, ledger, holder):
                raise silent_error(str(holder))
            known_ns = clock.monotonic_ns()
        if waits_for != who:
            output.say_unless_quiet(f"waiting for {who}, which holds the ledger")
            waits_for = who
    return None


def _ask(invocation: Invocation, ledger: Ledger, run_request: RunNowRequest) -> RequestRow | None:
    """
    Ask the daemon; return the answered request. If the daemon does not take it, withdraw it and return None.
    """
    request = requests.add_request(
        ledger,
        RequestKind.RUN_NOW,
        run_request.as_body(),
        now_ns=invocation.clock.wall_ns(),
        by=invocation.user,
    )
    return await_answer(invocation, ledger, request)


def _leave_request(invocation: Invocation, ledger: Ledger, run_request: RunNowRequest) -> int:
    answered = send(invocation, ledger, RequestKind.RUN_NOW, run_request.as_body())
    found = list[Occurrence]()
    if answered is not None:
        ids = [OccurrenceId.parse(text) for text in (answered.answer or {})["occurrences"]]
        found = history.find_by_ids(ledger, ids)
    if invocation.output.as_json:
        invocation.output.json([one.as_json() for one in found])
    for one in found if not invocation.output.as_json else ():
        invocation.output.line(str(one.id))
    return 0


def _run_here(
    invocation: Invocation,
    definitions: Definitions,
    ledger: Ledger,
    run_request: RunNowRequest,
    lock: Lock,
    follower: "_Follower",
) -> None:
    # Here, because these import the supervisor of the executors, which a request to a daemon does not need.
    from tminus.cli.run_now_local import run_here
    from tminus.daemon.log import log_output

    log_output.set_up(quiet=not invocation.output.verbose, color=invocation.output.color)
    invocation.output.say_unless_quiet("no daemon runs on this ledger: this command runs the jobs")
    bring_up_to_date(ledger)
    ledger.guard = lock.check
    run_here(ledger, definitions, run_request, clock=invocation.clock, follow=follower.follow)


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
        self._output.say_unless_quiet(f"T {local(planned_at_ns, self._invocation.zone)}, {jobs}")
        with self._output.progress(len(ids)) as advance:
            held_ns = self._invocation.clock.monotonic_ns()
            while len(self._ended) < len(ids):
                self._invocation.clock.pause(LOOK_NS)
                self._ended = [one for one in history.find_by_ids(self._ledger, ids) if one.is_over]
                advance(len(self._ended))
                now_ns = self._invocation.clock.monotonic_ns()
                if is_held(self._ledger):
                    held_ns = now_ns
                elif now_ns - held_ns > _GONE_NS and len(self._ended) < len(ids):
                    hint = (
                        "the next start of the daemon decides about the others: tminus history "
                        f"{' '.join(dict.fromkeys(one.job for one in ids))}"
                    )
                    raise DaemonNeeded("the daemon has ended before all jobs had run", hint=hint)

    def report(self) -> int:
        """Print the outcomes; return the exit status."""
        newest = sorted(history.find_by_ids(self._ledger, self._ids), key=lambda one: one.id, reverse=True)
        bad = [one for one in newest if not one.has_succeeded]
        if self._output.as_json:
            self._output.json([one.as_json() for one in newest])
            return 1 if bad else 0
        self._output.table(
            ("OUTCOME", "JOB", "STATUS", "OFFSET", "DURATION", "REASON"),
            [
                (
                    self._output.occurrence_mark(one),
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
            self._output.say_unless_quiet(
                f"{len(bad)} of {len(newest)} did not succeed; what came back: tminus logs {bad[0].id}"
            )
        return 1 if bad else 0
