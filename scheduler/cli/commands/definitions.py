"""What the jobs file says: `validate`, `next`, `jobs`, `show`, `schema`."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import click

from scheduler.cli.completion import complete_jobs
from scheduler.cli.invocation import Invocation
from scheduler.cli.main import Command
from scheduler.cli.output import offset
from scheduler.cli.problems import print_problems, summary
from scheduler.errors import LedgerError
from scheduler.instants import rfc3339
from scheduler.jobsfile.faults import Fault
from scheduler.model.definitions import Definitions
from scheduler.model.occurrence import Occurrence
from scheduler.operations.next_times import coming, next_of
from scheduler.operations.select import select
from scheduler.operations.times import local, span

#: Fire times that one command shows.
_MOST = 1_000_000


@click.command(cls=Command, short_help="Check the jobs file: every error at once.")
@click.argument("file", required=False)
def validate(invocation: Invocation, file: str | None) -> int:
    """
    Check a jobs file: every error at once, each with its place, a caret and a hint.

    \b
    tminus validate
    tminus validate jobs.d/crm.yaml
    """
    from scheduler.operations.ask_app import ask_for_code
    from scheduler.operations.check_apps import app_faults, check_apps

    invocation.config, invocation.needs_secrets = file or invocation.config, True
    output, answers = invocation.output, ask_for_code(invocation.file.apps.values(), invocation.file.folder)
    loaded = invocation.file.load(job for answer in answers.values() for job in answer.code)
    silent = {name: answer for name, answer in answers.items() if answer.wrong}
    wrong = list(check_apps(loaded.definitions, but_for=silent)) if loaded.definitions else []
    faults = [(one.job, Fault(words=one.message, path=one.key, hint=one.hint)) for one in wrong]
    loaded = loaded.with_faults(faults, apps=app_faults(answers))
    if output.as_json:
        warnings, errors = ([problem.as_json() for problem in some] for some in (loaded.warnings, loaded.errors))
        output.json({"valid": not errors, "errors": errors, "warnings": warnings})
    else:
        print_problems(output, [*loaded.warnings, *loaded.errors])
        count = len(loaded.definitions.jobs) if loaded.definitions else 0
        about = f"{count} job{'' if count == 1 else 's'}, " if loaded.definitions else ""
        output.line(f"{invocation.path}: {about}{summary(loaded.errors, loaded.warnings)}")
    return 2 if loaded.errors else 0


@click.command(cls=Command, name="next", short_help="Coming fire times.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option("-n", "most", type=click.IntRange(1, _MOST), default=10, help="So many in all [10].")
@click.option("--from", "from_", metavar="TIME", default="now", help="After this [now].")
@click.option("--to", metavar="TIME", help="Up to this.")
def next_(invocation: Invocation, jobs: Sequence[str], most: int, from_: str, to: str | None) -> int:
    """
    Coming fire times of all jobs or of some; suspended ones left out.

    \b
    tminus next
    tminus next crm_sync tag:nightly -n 5
    """
    invocation.asks_apps = True
    definitions, output = invocation.definitions, invocation.output
    names = select(jobs, definitions, every=not jobs).names
    to_ns = invocation.time(to) if to else None
    found = coming(definitions, names, from_ns=invocation.time(from_), to_ns=to_ns, most=most)
    if output.as_json:
        output.json([one.as_json() for one in found])
        return 0
    now_ns = invocation.clock.wall_ns()
    output.table(
        ("FIRE TIME", "IN", "JOB"),
        [(local(one.fire_time_ns, ZoneInfo(one.zone)), span(one.fire_time_ns - now_ns), one.job) for one in found],
        right=("IN",),
    )
    if not found:
        output.say("nothing comes: there are no jobs, or they are manual, suspended or over")
    return 0


@click.command(cls=Command, short_help="All jobs, with what comes and what was.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
def jobs(invocation: Invocation, jobs: Sequence[str]) -> int:
    """
    All jobs or some, with their next fire time and their last occurrence.

    \b
    tminus jobs
    tminus jobs 'crm_*'
    """
    invocation.asks_apps = True
    definitions, output, now_ns = invocation.definitions, invocation.output, invocation.clock.wall_ns()
    names = select(jobs, definitions, every=not jobs).names
    last = _last(invocation, names)
    rows = [(name, next_of(definitions, name, now_ns), last.get(name)) for name in names]
    if output.as_json:
        output.json([_job_json(definitions, name, coming_ns, occurrence) for name, coming_ns, occurrence in rows])
        return 0
    columns = "JOB", "TARGET", "SCHEDULE", "NEXT", "FROM", "LAST"
    output.table(columns, [_job_row(invocation, name, coming_ns, occurrence) for name, coming_ns, occurrence in rows])
    return 0


@click.command(cls=Command, short_help="One job, merged, with where each value comes from.")
@click.argument("job", shell_complete=complete_jobs)
def show(invocation: Invocation, job: str) -> int:
    """
    One job after defaults and templates, and where each value comes from. Secrets are shown as written.

    \b
    tminus show crm_sync
    """
    invocation.asks_apps = True
    definitions, output = invocation.definitions, invocation.output
    (name,) = select([job], definitions).names[:1]
    values = invocation.loaded.explain(name)
    if output.as_json:
        output.json({"job": name, "values": [{"key": one.key, "value": one.value, "where": one.where} for one in values]})
        return 0
    output.table(("KEY", "VALUE", "WHERE"), [(one.key, str(one.value), one.where) for one in values])
    at = next_of(definitions, name, invocation.clock.wall_ns())
    output.line(f"next: {_next_text(definitions, name, at)}")
    return 0


@click.command(cls=Command, short_help="The JSON Schema of the jobs file, for editors.")
def schema(invocation: Invocation) -> int:
    """
    The JSON Schema of the jobs file.

    \b
    tminus schema > jobs.schema.json
    # yaml-language-server: $schema=jobs.schema.json
    """
    from scheduler.jobsfile.language import json_schema

    invocation.output.json(json_schema())
    return 0


def _last(invocation: Invocation, names: Sequence[str]) -> dict[str, Occurrence]:
    try:
        ledger = invocation.open_ledger()
    except LedgerError as error:
        invocation.output.detail(error.message)
        return {}
    from scheduler.ledger import history

    return history.last_of_each(ledger, names, unreadable=invocation.output.left_out)


def _job_json(definitions: Definitions, name: str, coming_ns: int | None, last: Occurrence | None) -> dict[str, object]:
    job = definitions.jobs[name]
    return {
        "job": name,
        "target": str(definitions.jobs[name].target),
        "schedule": job.schedule_text,
        "next": rfc3339(coming_ns) if coming_ns is not None else None,
        "paused": False,
        "suspended": job.suspended,
        "from": str(job.place),
        "tags": list(job.tags),
        "description": job.description,
        "last": last.as_json() if last else None,
    }


def _job_row(invocation: Invocation, name: str, coming_ns: int | None, last: Occurrence | None) -> tuple[str, ...]:
    definitions = invocation.definitions
    schedule = definitions.jobs[name].schedule_text
    coming_text = _next_text(definitions, name, coming_ns)
    place = str(definitions.jobs[name].place)
    return name, str(definitions.jobs[name].target), schedule, coming_text, place, _last_text(invocation, last)


def _next_text(definitions: Definitions, name: str, coming_ns: int | None) -> str:
    job = definitions.jobs[name]
    if coming_ns is not None:
        return local(coming_ns, ZoneInfo(job.zone))
    return "suspended" if job.suspended else "by hand" if not job.schedule else "over"


def _last_text(invocation: Invocation, last: Occurrence | None) -> str:
    if last is None:
        return ""
    state = last.outcome.value if last.outcome else last.state.value
    return f"{invocation.output.mark(state)} {offset(last.start_offset_ns)}".strip()
