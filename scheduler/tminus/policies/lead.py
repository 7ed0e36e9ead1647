"""Lead: how long before T a batch is claimed and armed."""

from dataclasses import dataclass, field

from tminus.instants import MS, SECOND

#: The longest lead, because targets close idle connections, and two open connections can block a small
#: server.
LONGEST_NS = 10 * SECOND
SHORTEST_NS = 1 * SECOND
#: The commit must be durable this long before T, or the batch is not released on time.
COMMIT_NS = 250 * MS
#: The assumed cost of a connection until a batch has been measured: a TLS handshake over a long distance.
FIRST_GUESS_NS = 2 * MS
#: The assumed cost of a process that is forked for a job, on two cores that others use, too.
FIRST_GUESS_FORK_NS = 20 * MS


def is_out_of_reach(left_ns: int) -> bool:
    """
    Return whether T is too far away to stay prepared for it, if this much time is left: the wall clock was
    set back.
    """
    return left_ns > LONGEST_NS


def commit_before(left_ns: int) -> int:
    """Return how long before T to commit, if this much time is left until T."""
    return min(COMMIT_NS, max(left_ns, 0) // 4)


@dataclass(slots=True)
class Lead:
    """
    The lead, learned from what arming has cost. Not thread-safe: the planner owns it.

    Args:
        fixed_ns: `daemon.lead` if it is given; then nothing is learned.
    """

    fixed_ns: int | None = None
    _slowest_ns: float = field(default=0.0, init=False)
    _per_job_ns: float = field(default=float(FIRST_GUESS_NS), init=False)
    _per_fork_ns: float = field(default=float(FIRST_GUESS_FORK_NS), init=False)

    def for_batch(self, jobs: int, forks: int = 0) -> int:
        """
        Return the lead for this many jobs, of which so many get a process of their own: at least SHORTEST_NS
        and at most LONGEST_NS.
        """
        if self.fixed_ns is not None:
            return self.fixed_ns
        arming_ns = self._slowest_ns + self._per_job_ns * (jobs - forks) + self._per_fork_ns * forks
        return round(min(max(2 * arming_ns + COMMIT_NS, SHORTEST_NS), LONGEST_NS))

    def learn(self, *, jobs: int, forks: int = 0, claim_and_arm_ns: int) -> None:
        """
        Learn from the time of claiming and arming a batch: small ones give the fixed part, large ones the
        part per job, or per process of a job if half of them have one.
        """
        if jobs < 50:
            self._slowest_ns = max(float(claim_and_arm_ns), self._slowest_ns * 0.9)
            return
        others_ns = self._slowest_ns + (self._per_job_ns * (jobs - forks) if 2 * forks >= jobs else 0)
        cost_ns = max(claim_and_arm_ns - others_ns, 0.0)
        if 2 * forks >= jobs:
            self._per_fork_ns = max(cost_ns / forks, self._per_fork_ns * 0.8)
        else:
            self._per_job_ns = max(cost_ns / jobs, self._per_job_ns * 0.8)
