"""Coalesce: which of several late fire times of one job runs."""

from enum import StrEnum


class Coalesce(StrEnum):
    """As in APScheduler 4."""

    LATEST = "latest"  #: only the last of them runs; the others are `skipped`, coalesced into it
