"""
The process of one application.

    python -m scheduler.executors.python serve BOARD FOLDER [APP]     a thread for each job
    python -m scheduler.executors.python fork BOARD FOLDER [APP]      a process for each job
    python -m scheduler.executors.python check [APP]

APP is `module:app` or `module:factory()`, BOARD the descriptor of the board, FOLDER where jobs run.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036  said before anything is imported that an older Python does not understand
    said = '{"is": "Hello", "version": 1, "pid": 0, "error": "%s is Python %d.%d: 3.11 or newer is needed"}\n'
    sys.stdout.write(said % (sys.executable, sys.version_info[0], sys.version_info[1]))
    sys.exit(1)

from scheduler.executors.python.board import Board
from scheduler.executors.python.check import check
from scheduler.executors.python.serve import serve, serve_forks

verb, *given = sys.argv[1:]
if verb == "check":
    check(*given)
else:
    board, folder, *app = given
    os.chdir(folder)
    (serve if verb == "serve" else serve_forks)(Board(int(board)), *app)
