"""The loader's last resort: an exception that nobody foresaw is one more problem of the file, never a traceback."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from scheduler.jobsfile.problems import Problem
from scheduler.jobsfile.report import Report

#: Shown with `-v`.
log = logging.getLogger(__name__)


@contextmanager
def last_resort(path: str, report: Report) -> Iterator[None]:
    """
    End the block at an unforeseen exception, and report it as an error of the jobs file.

    Args:
        path: The jobs file.
        report: Gets the problem.
    """
    try:
        yield
    except Exception as error:
        log.debug("the loader failed", exc_info=True)
        at = traceback.extract_tb(error.__traceback__)[-1]
        # The exception's own text may hold a secret.
        message = f"the file could not be read: {type(error).__name__} in {os.path.basename(at.filename)}:{at.lineno}"
        report.add(Problem(path=path, message=message, hint="this is a defect of tminus, please report it; -v shows more"))
