"""For the code of a Flask application: jobs defined beside their functions. The standard library and Flask only."""

from scheduler.executors.python.given import Answer, Failure
from scheduler.executors.python.occurrence import current_occurrence
from scheduler.flask.background import background
from scheduler.flask.extension import Scheduler

__all__ = ["Answer", "Failure", "Scheduler", "background", "current_occurrence"]
