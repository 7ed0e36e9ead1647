"""Lead: how long before T a batch is claimed and armed."""

from dataclasses import dataclass, field

from scheduler.instants import MS, SECOND

#: Targets close idle connections, and two held ones can starve a small server: never longer.
LONGEST_NS = 10 * SECOND
SHORTEST_NS = 1 * SECOND
#: Before T: the commit is durable by then, or the batch is not released on time.
COMMIT_NS = 250 * MS
#: What a connection is taken to cost until a batch has been measured: a TLS handshake over a long way.
FIRST_GUESS_NS = 2 * MS


def commit_before(left_ns: int) -> int:
    """How long before T to commit, when that much is left: a near T is armed in the time left."""
    return min(COMMIT_NS, max(left_ns, 0) // 4)


@dataclass(slots=True)
class Lead:
    """
    The lead, learned from what arming has cost. Not thread-safe: the planner owns it.

    Args:
        fixed_ns: `daemon.lead` where it is given; nothing is learned then.
    """

    fixed_ns: int | None = None
    _slowest_ns: float = field(default=0.0, init=False)
    _per_job_ns: float = field(default=float(FIRST_GUESS_NS), init=False)

    def for_batch(self, jobs: int) -> int:
        """The lead for that many jobs at once, within SHORTEST_NS and LONGEST_NS."""
        if self.fixed_ns is not None:
            return self.fixed_ns
        wanted = 2 * (self._slowest_ns + self._per_job_ns * jobs) + COMMIT_NS
        return round(min(max(wanted, SHORTEST_NS), LONGEST_NS))

    def learn(self, *, jobs: int, claim_and_arm_ns: int) -> None:
        """Take in what claiming and arming one batch took; small batches teach the fixed part, large ones the rest."""
        if jobs < 50:
            self._slowest_ns = max(float(claim_and_arm_ns), self._slowest_ns * 0.9)
        else:
            cost = max(claim_and_arm_ns - self._slowest_ns, 0.0) / jobs
            self._per_job_ns = max(cost, self._per_job_ns * 0.8)
