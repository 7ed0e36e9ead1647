"""
Pause on failure: a job that fails several times in a row is paused until an operator resumes it.

A failure counts if the schedule started the run, because a pause stops nothing else. All attempts of an
occurrence count as one. A success resets the count, whoever started the run. `unknown` says nothing about the
job, and what was missed, skipped or cancelled did not run: these change nothing.
"""

from tminus.outcome import FAILED_RUNS, Outcome

#: The outcomes that change the count.
COUNTED = (*FAILED_RUNS, Outcome.SUCCEEDED)


def count_failures(before: int, outcome: Outcome, *, is_by_schedule: bool) -> int:
    """Return the number of failures in a row after one more occurrence has ended."""
    if outcome is Outcome.SUCCEEDED:
        return 0
    return before + (is_by_schedule and outcome in FAILED_RUNS)


def is_pause_due(failures: int, *, limit: int) -> bool:
    """Return whether a job with this many failures in a row is to be paused."""
    return failures >= limit
