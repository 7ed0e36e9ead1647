"""What all lanes of the process share."""

from dataclasses import dataclass

from scheduler.clock import Clock
from scheduler.executors.http.names import Resolver
from scheduler.executors.http.reaper import Reaper
from scheduler.release.gate import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The objects that the executor makes once for all lanes."""

    clock: Clock
    gate: Gate
    resolver: Resolver
    reaper: Reaper
