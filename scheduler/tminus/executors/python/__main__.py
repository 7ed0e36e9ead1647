"""
The process of one application.

    python -m tminus.executors.python serve TABLE FOLDER [APP]     a thread for each job
    python -m tminus.executors.python fork TABLE FOLDER [APP]      a process for each job
    python -m tminus.executors.python check [APP]

APP is `module:app` or `module:factory()`, TABLE the descriptor of the start table, FOLDER where jobs run.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036  said before anything is imported that an older Python does not understand
    said = '{"is": "Hello", "version": 2, "pid": 0, "error": "%s is Python %d.%d: 3.11 or newer is needed"}\n'
    sys.stdout.write(said % (sys.executable, sys.version_info[0], sys.version_info[1]))
    sys.exit(1)

from tminus.executors.python.check import check
from tminus.executors.python.serve import serve, serve_forks
from tminus.executors.python.start_table import StartTable

verb, *given = sys.argv[1:]
if verb == "check":
    check(*given)
else:
    start_table, folder, *app = given
    os.chdir(folder)
    (serve if verb == "serve" else serve_forks)(StartTable(int(start_table)), *app)
