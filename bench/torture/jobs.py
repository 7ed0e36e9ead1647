"""
The hundred jobs of a fault round, and their periods, in seconds of the wall clock counted from 1970.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.machine import ROOT
from bench.waiting import SECOND

SHUTDOWN_GRACE_S = 5
#: Shorter than most faults, so that `missed` rows with a count occur. The other half of the jobs has the
#: default, 30 s.
_SHORT_GRACE = "3s"
_APP = "tortured"
_MODULE = f"bench.peers.{_APP}"
#: Jobs that only start by `run-now`.
MANUAL = ("by_hand", "by_hand_call")
#: The job that a chain starts.
FOLLOWS = "follows"
#: How the names of jobs begin that are tried again.
RETRIED = "retried"
_RETRY = {"max_attempts": 3, "initial_interval": "300ms", "max_interval": "1s"}

Job = dict[str, Any]


class Plan:
    """
    The jobs.

    Args:
        url: URL of the witness.
        folder: Folder for the notes of functions.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        self.period_ns: dict[str, int] = {}  #: by job, for jobs with a schedule
        self.quick: set[str] = set()  #: jobs that succeed without faults
        self._add_requests()
        self._add_functions()
        self._add_chains()
        self._jobs |= {
            MANUAL[0]: {
                "schedule": "manual",
                "http": f"{url}/by_hand",
                "params": {"tag": ""},
                "overlap": "allow_all",
            },
            MANUAL[1]: {
                "schedule": "manual",
                **self._call("quick"),
                "params": {"tag": ""},
                "overlap": "allow_all",
            },
            FOLLOWS: {"schedule": "manual", "http": f"{url}/follows", "overlap": "allow_all"},
        }

    def text(self, remark: str = "") -> str:
        """
        Return the jobs file, as JSON, which is also YAML.

        Args:
            remark: Text that makes it a new version, with the same jobs.
        """
        file = {
            "version": 1,
            "timezone": "UTC",
            "daemon": {"shutdown_grace": f"{SHUTDOWN_GRACE_S}s"},
            "apps": {_APP: {"app": f"{_MODULE}:app", "directory": str(ROOT), "background": 8}},
            "jobs": {name: {"description": remark, **job} for name, job in self._jobs.items()},
        }
        return json.dumps(file, indent=1)

    def environment(self) -> Mapping[str, str]:
        """The environment variables of the application."""
        return {"TORTURE_FOLDER": str(self._folder)}

    def _every(self, name: str, seconds: int, job: Job, *, is_quick: bool = False) -> None:
        grace = {"misfire_grace_time": _SHORT_GRACE} if len(self._jobs) % 2 else {}
        self._jobs[name] = {"schedule": {"every": f"{seconds}s"}, **grace, **job}
        self.period_ns[name] = seconds * SECOND
        if is_quick:
            self.quick.add(name)

    def _add_requests(self) -> None:
        url = self._url
        for index in range(48):
            self._every(f"get_{index}", index % 5 + 1, {"http": f"{url}/get/{index}"}, is_quick=True)
        for index in range(10):
            post = {
                "http": {
                    "url": f"{url}/post/{index}",
                    "method": "POST",
                    "json": {"run": "{{ occurrence.id }}"},
                }
            }
            self._every(f"post_{index}", index % 3 + 2, post, is_quick=True)
        for index in range(6):
            self._every(f"slow_{index}", 3, {"http": f"{url}/slow/{index}?wait=1.5"})
            self._every(
                f"beside_{index}", 2, {"http": f"{url}/beside/{index}?wait=3", "overlap": "allow_all"}
            )
        for index in range(4):
            self._every(f"refused_{index}", 4, {"http": f"{url}/refused/{index}?status=503"})
            retried = {"http": f"{url}/retried/{index}?status=503", "retry": _RETRY, "on_unknown": "retry"}
            self._every(f"{RETRIED}_{index}", 6, retried)
        for index in range(2):
            self._every(
                f"late_{index}", 5, {"http": f"{url}/late/{index}?wait=20", "timeout": {"total": "2s"}}
            )
            self._every(f"nobody_{index}", 5, {"http": "http://127.0.0.1:1/"})
            prepared = {"http": f"{url}/prepared/{index}", "app": _APP, "prepare": f"{_MODULE}:sign"}
            self._every(f"prepared_{index}", 3, prepared, is_quick=True)

    def _add_functions(self) -> None:
        for index in range(5):
            self._every(f"call_{index}", index + 1, self._call("quick"), is_quick=True)
            view = {"flask": {"app": _APP, "endpoint": "view", "method": "POST"}}
            self._every(f"view_{index}", index % 3 + 2, view, is_quick=True)
        for name, seconds in {
            "slow": 2,
            "failing": 3,
            "exiting": 4,
            "printing": 4,
            "forking": 5,
            "pooling": 5,
        }.items():
            self._every(name, seconds, self._call(name))
        for name in ("hogging", "crashing", "stubborn"):
            self._every(name, 2, {**self._call(name), "timeout": {"total": "4s"}})
        for index, name in enumerate(("quick", "slow", "failing", "crashing")):
            self._every(f"isolated_{name}", index + 3, self._call(name, isolate="process"))

    def _add_chains(self) -> None:
        requests = {"http": f"{self._url}/chained", "app": _APP}
        self._every(
            "chained",
            3,
            {**requests, "then": [{"callback": self._link("link", "one")}, {"callback": {"run": FOLLOWS}}]},
        )
        breaks = {"callback": self._link("broken_link", "one"), "errback": self._link("link", "never")}
        mends = {"errback": self._link("link", "two")}
        self._every(
            "chained_call",
            4,
            {**self._call("quick"), "then": [breaks, mends, {"both": self._link("link", "three")}]},
        )
        self._every(
            "chained_failing", 4, {**self._call("failing"), "then": [mends, {"both": {"run": FOLLOWS}}]}
        )

    def _call(self, function: str, **more: str) -> Job:
        return {"call": {"ref": f"{_MODULE}:{function}", "app": _APP, **more}}

    def _link(self, function: str, name: str) -> Job:
        kwargs = {"occurrence": "{{ occurrence.id }}", "name": name}
        return {"call": f"{_MODULE}:{function}", "app": _APP, "kwargs": kwargs}
