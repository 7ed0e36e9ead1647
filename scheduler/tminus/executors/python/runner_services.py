"""Objects that all jobs of a runner share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tminus.clock import Clock
from tminus.executors.python.loading import Loader
from tminus.executors.python.start_table import StartTable

if TYPE_CHECKING:
    from flask import Flask


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerServices:
    """The objects that a runner makes once, for all jobs. `app` is None if its functions need none."""

    app: "Flask | None"
    start_table: StartTable
    clock: Clock
    loader: Loader = field(default_factory=Loader)
