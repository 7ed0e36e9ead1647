"""Jobs that the code of an application defines, as a document beside the files: all of such a job stands on one line."""

import json
from dataclasses import asdict, replace
from typing import Any

from scheduler.jobsfile.document import Document, Excerpt, Spot
from scheduler.jobsfile.reader import Path
from scheduler.model.code import CodeJob

#: What `as_said` makes of a job.
_PARTS = {"name": str, "app": str, "file": str, "line": int, "keys": dict}


class CodeDocument(Document):
    """
    One job. What a problem quotes of it is found in its words as JSON, which is YAML.

    Args:
        job: As the code says it.
    """

    def __init__(self, job: CodeJob) -> None:
        words = json.dumps({"jobs": {job.name: job.keys}}, ensure_ascii=False)
        super().__init__(job.file, words.encode(errors="backslashreplace"))
        self.app = job.app
        self.unproven = None if job.is_said else job
        self.problems = []  # in words that nobody has written so
        self._at = job.line

    def excerpt(self, number: int, column: int) -> Excerpt:
        """The application's own sources are not read."""
        return Excerpt("", 1, is_cut=False)

    def spot(self, path: Path, *, on_key: bool = False, offset: int | None = None, length: int = 1) -> Spot:
        return replace(super().spot(path, on_key=on_key), line=self._at, column=1, length=1)


def code_in(text: str) -> tuple[CodeJob, ...]:
    """
    Return the jobs that code defined in an earlier version. Those that make no sense are left out: anybody may write a row.

    Args:
        text: `Definitions.text` of that version, from the ledger.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    jobs = said.get("code") if isinstance(said, dict) else None
    return tuple(CodeJob(**job, is_said=False) for job in jobs if _is_job(job)) if isinstance(jobs, list) else ()


def as_said(job: CodeJob) -> dict[str, Any]:
    """Convert a job for `Definitions.text`."""
    return {name: value for name, value in asdict(job).items() if name not in ("error", "is_said")}


def _is_job(said: Any) -> bool:
    return (
        isinstance(said, dict) and said.keys() == _PARTS.keys() and all(isinstance(said[name], _PARTS[name]) for name in _PARTS)
    )
