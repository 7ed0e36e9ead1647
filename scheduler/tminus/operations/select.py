"""Select jobs by names, `tag:NAME`, globs, or all."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from tminus.errors import JobNotFound, NotFound, UsageError, quoted
from tminus.model.definitions import Definitions


@dataclass(frozen=True, slots=True)
class Selected:
    """
    Selected jobs.

    Attributes:
        names: The jobs in the order of the words that select them, each once.
        by_pattern: Whether some were not named one by one. Then ask before changing more than one.
    """

    names: tuple[str, ...]
    by_pattern: bool


def select(wanted: Sequence[str], definitions: Definitions, *, every: bool = False) -> Selected:
    """
    Select jobs.

    Args:
        wanted: Names, `tag:NAME` or globs.
        definitions: The definitions in force.
        every: Whether to select all jobs.

    Raises:
        JobNotFound: no job has that name.
        NotFound: no job has that tag, or matches that glob.
        UsageError: a group is named; or jobs are named, and all are wanted, too.
    """
    if every and wanted:
        raise UsageError("these jobs, or all jobs?", hint="leave out the names, or --all")
    if every:
        return Selected(tuple(definitions.jobs), by_pattern=True)
    names: dict[str, None] = {}
    by_pattern = False
    for word in wanted:
        found = _found(word, definitions)
        by_pattern = by_pattern or found != [word]
        names |= dict.fromkeys(found)
    return Selected(tuple(names), by_pattern)


def _found(word: str, definitions: Definitions) -> list[str]:
    if word in definitions.jobs:
        return [word]
    kind, colon, name = word.partition(":")
    if colon and kind == "group":
        raise UsageError(f"{word}: there are no groups", hint="use tag:NAME")
    if colon and kind == "tag":
        found = [job.name for job in definitions.jobs.values() if name in job.tags]
    elif any(sign in word for sign in "*?["):
        found = fnmatch.filter(definitions.jobs, word)
    else:
        raise JobNotFound(word, definitions.jobs)
    if not found:
        raise NotFound(f"{quoted(word)} selects no job", hint="`tminus jobs --json` has their names and tags")
    return found
