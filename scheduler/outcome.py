"""The closed vocabularies: the state of an occurrence, its outcome and its cause, and where it came from."""

from enum import StrEnum


class State(StrEnum):
    """The state of an occurrence. `RUNNING` is derived, never stored: its batch is releasing and it has no outcome."""

    QUEUED = "queued"  #: stored, waiting for a slot
    CLAIMED = "claimed"  #: one daemon owns it; by itself proof that nothing was sent
    RUNNING = "running"  #: released, no outcome yet
    FINISHED = "finished"  #: has exactly one outcome, which is final


class Outcome(StrEnum):
    """How an occurrence ended; each has exactly one outcome."""

    SUCCEEDED = "succeeded"  #: answered as `expect` asks
    FAILED = "failed"  #: could not be sent, or the answer was not as `expect` asks
    TIMED_OUT = "timed_out"  #: sent, and not answered in time
    CANCELLED = "cancelled"  #: stopped by a person, or its job was deleted before the release
    SKIPPED = "skipped"  #: not started, by a policy: overlap, coalescing
    MISSED = "missed"  #: not started, because it was later than its misfire grace time
    UNKNOWN = "unknown"  #: released, and it is unknown whether it arrived


class LinkState(StrEnum):
    """The state of a link of a chain. The last four are final."""

    WAITING = "waiting"  #: those before it have not ended
    RUNNING = "running"  #: its function may have been called
    SUCCEEDED = "succeeded"  #: it returned, or its job was started
    FAILED = "failed"  #: it raised, or could not be called
    PASSED_OVER = "passed_over"  #: a callback while the value was a failure, or an errback while it was a result
    UNKNOWN = "unknown"  #: called, and its result is unknown

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self in (LinkState.WAITING, LinkState.RUNNING)


class Origin(StrEnum):
    """Where an occurrence came from."""

    SCHEDULE = "schedule"
    MANUAL = "manual"  #: `run-now`
    CATCH_UP = "catch_up"
    BACKFILL = "backfill"
    CHAIN = "chain"  #: `{run: JOB}` in another job's `then:`
    BACKGROUND = "background"  #: submitted from a Flask view


class Cause(StrEnum):
    """Why an attempt failed; the first word of the reason that a person reads."""

    DNS = "dns"  #: the name could not be resolved
    CONNECT = "connect"  #: no TCP connection
    TLS = "tls"  #: no TLS session: certificate, version, handshake
    BLOCKED_ADDRESS = "blocked_address"  #: the guard does not allow the peer's address
    RESOURCE = "resource"  #: this machine ran out of descriptors, threads or memory
    DEFINITION = "definition"  #: the job could not be rendered into a request
    TIMEOUT = "timeout"  #: sent, not answered in time
    DIED = "died"  #: the connection died before an answer
    PARTIAL = "partial"  #: the answer broke off
    PROTOCOL = "protocol"  #: the answer was not HTTP
    TOO_LARGE = "too_large"  #: the answer was longer than `http.max_body`
    REDIRECT = "redirect"  #: a redirect that may not be followed
    PEER_PREEMPTED = "peer_preempted"  #: the server gave up on the waiting connection before the request came
    STATUS = "status"  #: an answer, but not the status that was expected
    EXCEPTION = "exception"  #: the function raised
    RESULT = "result"  #: the function returned what is not JSON
    EXECUTOR = "executor"  #: the executor process died
    OTHER = "other"  #: none of these; the reason quotes libcurl
