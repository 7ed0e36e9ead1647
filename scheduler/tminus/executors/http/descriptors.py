"""The number of connections that this process may hold: a hard limit of 20,000 descriptors is common."""

import resource

from tminus.executors.http.transfer_group import PER_MULTI

#: Kept back for everything that is not a connection.
_RESERVE = 200
#: Used if the system sets no limit.
_NO_LIMIT = 1 << 20
#: Descriptors that a CurlMulti opens for itself. Each connection needs one more.
_PER_CURLMULTI = 3


def hard_limit() -> int:
    """Return the number of files that this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _NO_LIMIT if hard == resource.RLIM_INFINITY else hard


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; return it."""
    hard = hard_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections(limit: int) -> int:
    """Return how many connections, with their multis, fit into a limit of open files."""
    return max((limit - _RESERVE) * PER_MULTI // (PER_MULTI + _PER_CURLMULTI), 1)
