"""Requests that name jobs: the names in the body of such a row, which any writer of the ledger may forge."""

from collections.abc import Mapping
from typing import Any

from tminus.errors import JobNotFound, UsageError
from tminus.model.definitions import Definitions

#: More than any job's name has: that is at most 64 characters long.
_LONGEST_NAME = 200


def jobs_in(body: Mapping[str, Any], definitions: Definitions) -> list[str]:
    """
    Return the names of the jobs in the body of a request row, each once.

    Raises:
        UsageError: the body has no names.
        JobNotFound: there is no such job.
    """
    names = body.get("jobs")
    if not (
        isinstance(names, list)
        and names
        and all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names)
    ):
        raise UsageError("the request names no jobs")
    for name in names:
        if name not in definitions.jobs:
            raise JobNotFound(name, definitions.jobs)
    return list(dict.fromkeys(names))
