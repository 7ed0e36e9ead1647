"""The closed vocabularies: states, outcomes, causes and origins of occurrences."""

from enum import StrEnum


class OccurrenceState(StrEnum):
    """
    The state of an occurrence. `RUNNING` is derived and never stored: the batch is released, and the
    occurrence has no outcome.
    """

    QUEUED = "queued"  #: stored, and not claimed yet
    CLAIMED = "claimed"  #: one daemon owns it, and nothing was sent
    RUNNING = "running"  #: released, no outcome yet
    FINISHED = "finished"  #: has exactly one outcome, which is final


class Outcome(StrEnum):
    """The end of an occurrence. Each occurrence has exactly one outcome."""

    SUCCEEDED = "succeeded"  #: the response was as `expect` asks, or the function has returned JSON
    FAILED = "failed"  #: not sent, or not as `expect` asks, or the function raised
    TIMED_OUT = "timed_out"  #: no end within `timeout`
    #: by a cancel, the interrupt of the run-now that runs it, or `overlap`; or its job, or the schedule of
    #: its job, was deleted before the release
    CANCELLED = "cancelled"
    SKIPPED = "skipped"  #: not started, because of a policy, a pause or a skip
    MISSED = "missed"  #: not started, because it was later than its misfire grace time
    UNKNOWN = "unknown"  #: it may have started, and it is not known how it ended


#: The outcomes of occurrences that ran, or may have run.
RUNS = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.UNKNOWN)
#: Those of them that a retry may follow, and that `pause_on_failure` counts.
FAILED_RUNS = (Outcome.FAILED, Outcome.TIMED_OUT)
#: The outcomes that need an operator, until one has resolved them.
UNRESOLVED = (Outcome.MISSED, Outcome.UNKNOWN)


class LinkState(StrEnum):
    """The state of a link of a chain. The last four are final."""

    WAITING = "waiting"  #: the links before it have not ended
    RUNNING = "running"  #: its function may have been called
    SUCCEEDED = "succeeded"  #: it returned, or its job was started
    FAILED = "failed"  #: it raised, or could not be called
    #: a callback while the value was a failure, or an errback while it was a result
    PASSED_OVER = "passed_over"
    UNKNOWN = "unknown"  #: called, and its result is unknown

    @property
    def is_open(self) -> bool:
        """Whether the link has not ended."""
        return self in (LinkState.WAITING, LinkState.RUNNING)


class ChainResult(StrEnum):
    """What a chain has made of its run. The outcome of the run stays as it is."""

    SUCCEEDED = "succeeded"  #: the run has succeeded, and so has its chain
    RESCUED = "rescued"  #: the run has not succeeded, and an errback has handled that
    FAILED = "failed"  #: a link has failed, and no errback has handled that


class Phase(StrEnum):
    """
    The phases of an attempt, in their order. The ledger stores them by their place, so a new one goes to the
    end.
    """

    RESOLVED = "resolved"  #: the host has an address
    CONNECTED = "connected"  #: the TCP connection is open
    TLS = "tls"  #: the TLS session is open
    ARMED = "armed"  #: ready for T: the connection is primed, or the function could be entered
    SENT = "sent"  #: the request has left
    ENTERED = "entered"  #: the function was entered, or the application called
    FIRST_BYTE = "first_byte"  #: the response has begun
    DONE = "done"  #: the attempt has ended

    @property
    def label(self) -> str:
        """Words for people."""
        return "TLS" if self is Phase.TLS else self.value.replace("_", " ")


class Resolved(StrEnum):
    """The result of an operator's look at an occurrence that is unknown or missed."""

    RAN = "ran"
    NOT_RAN = "not_ran"

    @property
    def label(self) -> str:
        """Words for people."""
        return "it ran" if self is Resolved.RAN else "it did not run"


class Origin(StrEnum):
    """The origin of an occurrence: what has created it."""

    SCHEDULE = "schedule"
    MANUAL = "manual"  #: `run-now`, `tminus retry`
    CATCH_UP = "catch_up"
    BACKFILL = "backfill"
    CHAIN = "chain"  #: `{run: JOB}` in another job's `then:`
    BACKGROUND = "background"  #: submitted from a Flask view

    @property
    def is_by_schedule(self) -> bool:
        """Whether a schedule has started it, on time or later. A pause stops only these."""
        return self in (Origin.SCHEDULE, Origin.CATCH_UP)

    @property
    def is_of_past_fire_time(self) -> bool:
        """Whether it runs a fire time that had already passed. It then waits until there is room."""
        return self in (Origin.CATCH_UP, Origin.BACKFILL)


class Cause(StrEnum):
    """The cause of a failed attempt. It is the first word of the reason that people read."""

    DNS = "dns"  #: the name could not be resolved
    CONNECT = "connect"  #: no TCP connection
    TLS = "tls"  #: no TLS session: certificate, version, handshake
    BLOCKED_ADDRESS = "blocked_address"  #: the guard does not allow the peer's address
    RESOURCE = "resource"  #: this machine ran out of descriptors, threads or memory
    DEFINITION = "definition"  #: the job could not be made into a request or a call
    TIMEOUT = "timeout"  #: no end within `timeout`
    DIED = "died"  #: the connection died before a response
    PARTIAL = "partial"  #: the response broke off
    PROTOCOL = "protocol"  #: the response was not HTTP
    TOO_LARGE = "too_large"  #: a response, a result or a value of a chain was too long
    REDIRECT = "redirect"  #: a redirect that may not be followed
    PEER_PREEMPTED = "peer_preempted"  #: the server gave up on the waiting connection before the request came
    STATUS = "status"  #: a response, but not with a status that was expected
    EXCEPTION = "exception"  #: the function raised
    RESULT = "result"  #: the function returned what is not JSON
    EXECUTOR = "executor"  #: the executor process died
    OTHER = "other"  #: none of the others; the reason quotes libcurl
