"""Jobs that the code of an application defines. Each is a document with one line."""

import json
from dataclasses import asdict, replace
from typing import Any

from tminus.jobsfile.text.document import Document, Excerpt, Spot
from tminus.jobsfile.text.tree import Path
from tminus.model.code_job import CodeJob

#: The keys that `code_job_to_dict` writes.
_PARTS = {"name": str, "app": str, "file": str, "line": int, "keys": dict}


class CodeDocument(Document):
    """
    One job in code. A problem quotes its keys as JSON, which is YAML.

    Args:
        job: The job as the code defines it.
    """

    def __init__(self, job: CodeJob) -> None:
        text = json.dumps({"jobs": {job.name: job.keys}}, ensure_ascii=False)
        super().__init__(job.file, text.encode(errors="backslashreplace"))
        self.app = job.app
        self.unproven = None if job.is_reported else job
        self.problems = []  # those of the JSON text, which is in no file
        self._at = job.line

    def excerpt(self, number: int, column: int) -> Excerpt:
        """Return no line: the sources of an application are not read."""
        return Excerpt("", 1, is_cut=False)

    def spot(self, path: Path, *, on_key: bool = False, offset: int | None = None, length: int = 1) -> Spot:
        return replace(super().spot(path, on_key=on_key), line=self._at, column=1, length=1)


def stored_code_jobs(text: str) -> tuple[CodeJob, ...]:
    """
    Return the jobs in code of an earlier config version. Leave out those that are malformed: any member of
    the ledger's group may write a row.

    Args:
        text: `Definitions.text` of that version, from the ledger.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    jobs = stored.get("code") if isinstance(stored, dict) else None
    found = jobs if isinstance(jobs, list) else []
    return tuple(CodeJob(**job, is_reported=False) for job in found if _is_job(job))


def code_job_to_dict(job: CodeJob) -> dict[str, Any]:
    """Convert a job for `Definitions.text`."""
    return {name: value for name, value in asdict(job).items() if name not in ("error", "is_reported")}


def _is_job(stored: Any) -> bool:
    return (
        isinstance(stored, dict)
        and stored.keys() == _PARTS.keys()
        and all(isinstance(stored[name], _PARTS[name]) for name in _PARTS)
    )
