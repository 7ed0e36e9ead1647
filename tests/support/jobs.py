"""Jobs files for tests that are about the daemon, not about the file."""

import json
from collections.abc import Mapping
from typing import Any

#: Settings of a daemon whose tests start jobs by `run-now`, and do not look at what happens before T.
QUICK = "lead: 200ms, reload: sighup"


def jobs_file(
    jobs: str,
    *,
    daemon: str = "lead: 2s, reload: sighup",
    defaults: str = "timeout: {connect: 4m, total: 4m}",
) -> str:
    """Return a jobs file with these lines of jobs; what a target does not answer lasts longer than any test."""
    return f"version: 1\ndaemon: {{{daemon}}}\ndefaults: {{{defaults}}}\njobs:\n{jobs}"


def job(name: str, url: str, schedule: str, more: str = "") -> str:
    """Return the line of a job; its schedule is `at: …`, `every: 1s` or `manual`."""
    when = schedule if schedule == "manual" else f"{{{schedule}}}"
    return f"  {name}: {{schedule: {when}, http: '{url}'{f', {more}' if more else ''}}}\n"


def many(count: int, url: str, schedule: str, more: str = "") -> str:
    """Return the lines of this many jobs that differ only in their query."""
    return "".join(job(f"job_{index}", f"{url}?{index}", schedule, more) for index in range(count))


def shop_file(
    jobs: Mapping[str, Any] | None = None, *, app: Mapping[str, Any] | None = None, **top: Any
) -> str:
    """Return a jobs file, as JSON, with the application `shop`; `app` has more keys of that, `top` of the file."""
    apps = {"shop": {"app": "shop:app", **(app or {})}}
    return json.dumps({"version": 1, "timezone": "UTC", "apps": apps, "jobs": dict(jobs or {}), **top})
