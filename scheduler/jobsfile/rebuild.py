"""The jobs of an earlier version, from the text that the ledger keeps of it."""

import json
import os

from scheduler.jobsfile import language
from scheduler.jobsfile.build import job_of
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.schedules import scheduled
from scheduler.jobsfile.validation import validated
from scheduler.model.job import Job, Place


def rebuild(text: str, *, path: str) -> dict[str, Job]:
    """
    What `Definitions.jobs` was, but for the order and for where each job stood in which file.

    Args:
        text: `Definitions.text` of that version. It was valid, so nothing is checked again.
        path: The jobs file; relative paths are relative to it.
    """
    said = json.loads(text)
    outside = Outside(os.path.dirname(os.path.abspath(path)), {})
    jobs = {}
    for name, value in said["jobs"].items():
        model = validated(language.Job, value).model
        when = scheduled(model.schedule or (), value["schedule"], zone=said["timezone"], now_ns=0)
        jobs[name] = job_of(name, model, when, outside, Place(path, 0))
    return jobs
