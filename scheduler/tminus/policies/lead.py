"""Lead: how long before T a batch is claimed and armed."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Self

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


@dataclass(frozen=True, slots=True)
class ArmingCosts:
    """
    What arming has cost on this machine.

    Attributes:
        per_batch_ns: For a batch, whatever its size.
        per_job_ns: For a job that gets no process of its own.
        per_fork_ns: For a job that gets one.
    """

    per_batch_ns: int = 0
    per_job_ns: int = FIRST_GUESS_NS
    per_fork_ns: int = FIRST_GUESS_FORK_NS

    def as_text(self) -> str:
        """Return them as JSON, for the ledger."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str | None) -> Self:
        """Return the costs in the ledger; the first guess if there are none that can be read."""
        try:
            costs = cls(**json.loads(text or "{}"))
            return costs if min(asdict(costs).values()) >= 0 else cls()
        except (TypeError, ValueError):
            return cls()


@dataclass(slots=True)
class Lead:
    """
    The lead, learned from what arming has cost. Not thread-safe: the planner owns it.

    Args:
        fixed_ns: `daemon.lead` if it is given; it is the lead, whatever was learned.
        costs: Those known so far.
    """

    fixed_ns: int | None = None
    costs: ArmingCosts = field(default_factory=ArmingCosts)

    def for_batch(self, jobs: int, forks: int = 0) -> int:
        """
        Return the lead for this many jobs, of which so many get a process of their own: at least SHORTEST_NS
        and at most LONGEST_NS.
        """
        if self.fixed_ns is not None:
            return self.fixed_ns
        costs = self.costs
        arming_ns = costs.per_batch_ns + costs.per_job_ns * (jobs - forks) + costs.per_fork_ns * forks
        return min(max(2 * arming_ns + COMMIT_NS, SHORTEST_NS), LONGEST_NS)

    def learn(self, *, jobs: int, forks: int = 0, claim_and_arm_ns: int) -> None:
        """
        Learn from the time of claiming and arming a batch. A small batch gives the cost per batch. A large
        one gives the cost per job, or per process if at least half of its jobs have one.
        """
        costs = self.costs
        if jobs < 50:
            self.costs = replace(costs, per_batch_ns=max(claim_and_arm_ns, costs.per_batch_ns * 9 // 10))
            return
        left_ns = claim_and_arm_ns - costs.per_batch_ns
        if 2 * forks >= jobs:
            forks_ns = max(left_ns - costs.per_job_ns * (jobs - forks), 0)
            self.costs = replace(costs, per_fork_ns=max(-(-forks_ns // forks), costs.per_fork_ns * 4 // 5))
        else:
            jobs_ns = max(left_ns, 0)
            self.costs = replace(costs, per_job_ns=max(-(-jobs_ns // jobs), costs.per_job_ns * 4 // 5))
