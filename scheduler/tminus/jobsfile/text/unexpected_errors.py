"""Unexpected exceptions of the loader: each becomes one more problem of the file, never a traceback."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tminus.jobsfile.text.problems import Problem
from tminus.jobsfile.text.report import Report

#: Shown with `-v`.
log = logging.getLogger(__name__)


@contextmanager
def report_unexpected(path: str, report: Report) -> Iterator[None]:
    """
    Run the block. If it raises, end it, and report the exception as an error of the jobs file.

    Args:
        path: The jobs file.
        report: Collects the problem.
    """
    try:
        yield
    except Exception as error:
        log.debug("the loader failed", exc_info=True)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        # The exception's own text may contain a secret.
        message = (
            f"the file could not be read: {type(error).__name__} in "
            f"{os.path.basename(frame.filename)}:{frame.lineno}"
        )
        report.add(
            Problem(
                path=path, message=message, hint="this is a defect of tminus, please report it; -v shows more"
            )
        )
