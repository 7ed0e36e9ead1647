"""The number of connections that this process may hold: a hard limit of 20,000 descriptors is common."""

import resource

from scheduler.executors.http.bundle import PER_MULTI

#: Kept back for everything that is not a connection.
_RESERVE = 200
#: If the system sets no limit, this many are enough.
_NO_LIMIT = 1 << 20
#: Descriptors of one CurlMulti beside its connections.
_PER_CURLMULTI = 3


def hard_limit() -> int:
    """Return how many files this process may open at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _NO_LIMIT if hard == resource.RLIM_INFINITY else hard


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; return it."""
    hard = hard_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections(limit: int) -> int:
    """Return how many connections fit under a limit of open files, multis included."""
    return max((limit - _RESERVE) * PER_MULTI // (PER_MULTI + _PER_CURLMULTI), 1)
