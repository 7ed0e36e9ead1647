"""Objects that all lanes of the process share."""

from dataclasses import dataclass

from tminus.clock import Clock
from tminus.executors.http.reaper import Reaper
from tminus.executors.http.resolver import Resolver
from tminus.release.gate import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneServices:
    """The objects that the executor makes once, for all lanes."""

    clock: Clock
    gate: Gate
    resolver: Resolver
    reaper: Reaper
