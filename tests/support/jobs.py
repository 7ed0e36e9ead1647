"""Jobs files for tests that are about the daemon, not about the file."""


def jobs_file(jobs: str, *, daemon: str = "lead: 2s, reload: sighup", defaults: str = "timeout: {total: 30s}") -> str:
    """A whole file around these lines of jobs."""
    return f"version: 1\ndaemon: {{{daemon}}}\ndefaults: {{{defaults}}}\njobs:\n{jobs}"


def job(name: str, url: str, schedule: str, more: str = "") -> str:
    """One line; the schedule as in `at: …` or `every: 1s`, or `manual`."""
    when = schedule if schedule == "manual" else f"{{{schedule}}}"
    return f"  {name}: {{schedule: {when}, http: '{url}'{f', {more}' if more else ''}}}\n"


def many(count: int, url: str, schedule: str, more: str = "") -> str:
    """So many jobs alike."""
    return "".join(job(f"job_{index}", f"{url}?{index}", schedule, more) for index in range(count))
