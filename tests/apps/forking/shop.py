"""Jobs that use a pool of processes, or fork one that leaves their process group."""

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask

app = Flask("shop")
pool = ProcessPoolExecutor(2)


def pooled() -> dict[str, Any]:
    return {"runner": os.getpid(), "forked": list({*pool.map(pid, range(8))})}


def pid(_: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def alone() -> None:
    forked = os.fork()
    if forked == 0:
        os.setpgid(0, 0)
        threading.Event().wait()
    print(os.getppid(), forked, flush=True)
    Path(os.environ["SAYS"]).write_text(f"{os.getppid()} {forked}\n")
    threading.Event().wait()
