"""A jobs file as a text, for tests."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

from tminus.instants import parse_rfc3339
from tminus.jobsfile.load import Loaded, load

NOW = parse_rfc3339("2026-11-20T11:00:00Z")
#: For properties: a busy machine is no failure.
TOP = "version: 1\ntimezone: Europe/Berlin\n"


def load_text(folder: Path, text: str | bytes, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Load a text as `jobs.yaml` in a folder, at one fixed moment."""
    (folder / "jobs.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with chdir(folder):
        return load("jobs.yaml", now_ns=NOW, environ=environ or {})


def messages(loaded: Loaded) -> list[str]:
    """All that is said about a file."""
    return [str(problem) for problem in (*loaded.errors, *loaded.warnings)]
