"""Commands about the jobs file: `validate`, `next`, `jobs`, `show`, `schema`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

import click

from tminus.cli.completion import complete_jobs
from tminus.cli.invocation import Invocation
from tminus.cli.main import Command
from tminus.cli.output import offset
from tminus.cli.problems import print_problems, summary
from tminus.errors import LedgerError, UsageError, quoted
from tminus.instants import format_duration, rfc3339
from tminus.jobsfile.load import JobsFile
from tminus.jobsfile.text.faults import Fault
from tminus.model.job import Job
from tminus.model.occurrence import Occurrence
from tminus.operations.next_times import next_of, upcoming
from tminus.operations.select import select
from tminus.operations.times import local
from tminus.policies.pause import Pause
from tminus.policies.withheld import Withheld

#: The most fire times that one command shows.
_MOST = 1_000_000


class _JobRow(NamedTuple):
    """A job with its next fire time, its pause and suspension, and its last occurrence."""

    job: Job
    next_ns: int | None
    pause: Pause | None
    suspension: Pause | None
    last: Occurrence | None


def _row_of(job: Job, withheld: Withheld, now_ns: int, last: Occurrence | None = None) -> _JobRow:
    name = job.name
    paused, suspended = withheld.pauses.get(name), withheld.suspensions.get(name)
    return _JobRow(job, next_of(job, now_ns, withheld), paused, suspended, last)


@click.command(cls=Command, short_help="Check the jobs file: every error at once.")
@click.argument("file", required=False)
@click.option("--no-secrets", is_flag=True, help="Look up no values of ${…}, and no env_file.")
def validate(invocation: Invocation, file: str | None, no_secrets: bool) -> int:
    """
    Check a jobs file: every error at once, each with its place, a caret and a hint.

    \b
    tminus validate
    tminus validate jobs.d/crm.yaml
    tminus validate --no-secrets       # for CI, which has no secrets
    """
    from tminus.operations.check_apps import app_faults, check_apps
    from tminus.operations.inspect_app import discover_code_jobs

    invocation = replace(invocation, config=file or invocation.config)
    output = invocation.output
    jobs_file = JobsFile(invocation.path, with_secrets=not no_secrets)
    answers = discover_code_jobs(jobs_file.apps.values(), jobs_file.folder)
    loaded = jobs_file.load(job for answer in answers.values() for job in answer.code_jobs)
    broken = {name for name, answer in answers.items() if answer.error}
    wrong = list(check_apps(loaded.definitions, skip=broken)) if loaded.definitions else []
    faults = [(one.job, Fault(message=one.message, path=one.key, hint=one.hint)) for one in wrong]
    loaded = loaded.with_faults(faults, apps=app_faults(answers))
    if output.as_json:
        warnings, errors = (
            [problem.as_json() for problem in some] for some in (loaded.warnings, loaded.errors)
        )
        output.json({"valid": not errors, "errors": errors, "warnings": warnings})
    else:
        print_problems(output, [*loaded.warnings, *loaded.errors])
        count = len(loaded.definitions.jobs) if loaded.definitions else 0
        about = f"{count} job{'' if count == 1 else 's'}, " if loaded.definitions else ""
        output.line(f"{invocation.path}: {about}{summary(loaded.errors, loaded.warnings)}")
    return 2 if loaded.errors else 0


@click.command(cls=Command, name="next", short_help="Upcoming fire times.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
@click.option(
    "-n", "most", type=click.IntRange(1, _MOST), default=10, help="At most this many in total [10]."
)
@click.option("--from", "from_", metavar="TIME", default="now", help="After this [now].")
@click.option("--to", metavar="TIME", help="Up to this.")
def next_(invocation: Invocation, jobs: Sequence[str], most: int, from_: str, to: str | None) -> int:
    """
    Upcoming fire times of all jobs or of some, without suspended and paused ones.

    \b
    tminus next
    tminus next crm_sync tag:nightly -n 5
    """
    definitions, output = invocation.load_in_force().definitions, invocation.output
    names = select(jobs, definitions, every=not jobs).names
    to_ns = invocation.time(to) if to else None
    from_ns, withheld = invocation.time(from_), invocation.find_withheld()
    found = upcoming(definitions, names, from_ns=from_ns, to_ns=to_ns, most=most, withheld=withheld)
    if output.as_json:
        output.json([one.as_json() for one in found])
        return 0
    now_ns = invocation.clock.wall_ns()
    output.table(
        ("FIRE TIME", "IN", "JOB"),
        [
            (
                local(one.fire_time_ns, ZoneInfo(one.zone)),
                format_duration(one.fire_time_ns - now_ns, whole_seconds=True),
                one.job,
            )
            for one in found
        ],
        right=("IN",),
    )
    if not found:
        output.say_unless_quiet(
            "no upcoming fire times: there are no jobs, or they are manual, suspended, paused or over"
        )
    return 0


@click.command(cls=Command, short_help="All jobs, with their next and their last run.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_jobs)
def jobs(invocation: Invocation, jobs: Sequence[str]) -> int:
    """
    All jobs or some, with their next fire time and their last occurrence.

    \b
    tminus jobs
    tminus jobs 'crm_*'
    """
    definitions = invocation.load_in_force().definitions
    output, now_ns = invocation.output, invocation.clock.wall_ns()
    names = select(jobs, definitions, every=not jobs).names
    last, withheld = _last(invocation, names), invocation.find_withheld()
    rows = [_row_of(definitions.jobs[name], withheld, now_ns, last.get(name)) for name in names]
    if output.as_json:
        output.json([_job_json(row) for row in rows])
        return 0
    output.table(
        ("JOB", "TARGET", "SCHEDULE", "NEXT", "FROM", "LAST"),
        [
            (
                row.job.name,
                str(row.job.target),
                row.job.schedule_text,
                _next_text(row),
                str(row.job.place),
                _last_text(invocation, row.last),
            )
            for row in rows
        ],
    )
    return 0


@click.command(cls=Command, short_help="One merged job, with the origin of each value.")
@click.argument("job", shell_complete=complete_jobs)
def show(invocation: Invocation, job: str) -> int:
    """
    One job after defaults and templates, with the origin of each value. Secrets are shown as written.

    \b
    tminus show crm_sync
    """
    in_force, output = invocation.load_in_force(), invocation.output
    definitions = in_force.definitions
    name, *others = select([job], definitions).names
    if others:
        raise UsageError(
            f"{quoted(job)} selects {len(others) + 1} jobs", hint="name one: `tminus jobs` lists them"
        )
    values = in_force.loaded.explain(name)
    if output.as_json:
        output.json(
            {
                "job": name,
                "values": [{"key": one.key, "value": one.value, "where": one.where} for one in values],
            }
        )
        return 0
    output.table(("KEY", "VALUE", "WHERE"), [(one.key, str(one.value), one.where) for one in values])
    row = _row_of(definitions.jobs[name], invocation.find_withheld(), invocation.clock.wall_ns())
    output.line(f"next: {_next_text(row)}")
    return 0


@click.command(cls=Command, short_help="The JSON Schema of the jobs file, for editors.")
def schema(invocation: Invocation) -> int:
    """
    The JSON Schema of the jobs file.

    \b
    tminus schema > jobs.schema.json
    # yaml-language-server: $schema=jobs.schema.json
    """
    from tminus.jobsfile.jobs.schema import json_schema

    invocation.output.json(json_schema())
    return 0


def _last(invocation: Invocation, names: Sequence[str]) -> dict[str, Occurrence]:
    try:
        ledger = invocation.open_ledger()
    except LedgerError as error:
        invocation.output.detail(error.message)
        return {}
    from tminus.ledger import history

    return history.last_of_each(ledger, names, unreadable=invocation.output.left_out)


def _job_json(row: _JobRow) -> dict[str, object]:
    job = row.job
    return {
        "job": job.name,
        "target": str(job.target),
        "schedule": job.schedule_text,
        "next": rfc3339(row.next_ns) if row.next_ns is not None else None,
        "paused": row.pause is not None,
        "suspended": job.suspended,
        "from": str(job.place),
        "tags": list(job.tags),
        "description": job.description,
        "last": row.last.as_json() if row.last else None,
    }


def _next_text(row: _JobRow) -> str:
    job, found = row.job, "" if row.next_ns is None else local(row.next_ns, ZoneInfo(row.job.zone))
    if job.suspended:
        return str(row.suspension or "suspended")
    if row.pause and job.schedule:
        return f"{found}, {row.pause}" if found else str(row.pause)
    return found or ("by hand" if not job.schedule else "over")


def _last_text(invocation: Invocation, last: Occurrence | None) -> str:
    if last is None:
        return ""
    return f"{invocation.output.occurrence_mark(last)} {offset(last.start_offset_ns)}".strip()
