"""
The extension for a Flask application: jobs defined in its code, background runs, and shared state.

- **Web worker.** `Scheduler` and `@background` register functions, and start nothing. `submit` writes a row
  into the ledger (`$TMINUS_LEDGER`), which is opened then. Before a fork its connections are closed; each
  child opens its own.
- **Runner.** The daemon's process for the application imports the same code, reads which jobs it defines, and
  calls the functions. It needs no ledger: in it, `submit` and `state` are requests through its pipe to the
  daemon.
- **A background run** is `queued` after `submit`, `running` while its function is called, and `finished` with
  an outcome. If its process dies, the run is `queued` again, unless three deaths count against it or it was
  called ten times. `RunHandle.cancel` finishes a queued run, and asks a running one to stop.
- **If the ledger does not work**, `submit`, `status` and `state` raise a `LedgerError`. Then nothing was
  stored. There is one exception: if PostgreSQL was lost during the commit, the run or the change may exist.
- **If no daemon runs**, rows wait. The blueprint (`GET /tminus/runs/<id>`) needs the ledger, but no daemon.

This package itself imports only the standard library. Flask and SQLAlchemy are imported when they are needed.
"""

from tminus.errors import LedgerError, LockTimeout, TminusError, UsageError
from tminus.executors.python.current_occurrence import CurrentOccurrence, current_occurrence
from tminus.executors.python.payload_objects import Answer, Failure, Request
from tminus.flask.background import BackgroundFunction, background
from tminus.flask.client import RunHandle
from tminus.flask.extension import Scheduler
from tminus.flask.in_process import CollectedRun
from tminus.flask.state import State
from tminus.model.background import RunStatus

__all__ = [
    "Answer",
    "BackgroundFunction",
    "CollectedRun",
    "CurrentOccurrence",
    "Failure",
    "LedgerError",
    "LockTimeout",
    "Request",
    "RunHandle",
    "RunStatus",
    "Scheduler",
    "State",
    "TminusError",
    "UsageError",
    "background",
    "current_occurrence",
]
