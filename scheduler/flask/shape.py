"""What is said about a run, in the one shape that page, script and event stream have from it."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from scheduler.outcome import Outcome, State

if TYPE_CHECKING:
    from scheduler.model.background import Standing

_WORDS = {Outcome.SUCCEEDED: "completed", Outcome.CANCELLED: "cancelled", Outcome.SKIPPED: "cancelled"}


def as_dict(standing: "Standing") -> dict[str, Any]:
    """The keys, and the words of `state`, that every version has."""
    state = _state(standing)
    return {
        "id": standing.id,
        "state": state,
        "progress": standing.progress,
        "progress_text": standing.progress_text,
        "result": standing.result,
        "error": {"kind": str(standing.outcome), "message": standing.reason} if state == "failed" else None,
        "attempts": standing.attempts,
    }


def as_text(standing: "Standing") -> str:
    """The same as JSON on one line, whatever JSON provider the application has."""
    return json.dumps(as_dict(standing))


def tag(text: str) -> str:
    """What tells one text from another: an ETag, the id of an event."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _state(standing: "Standing") -> str:
    if standing.outcome is not None:
        return _WORDS.get(standing.outcome, "failed")
    return "processing" if standing.state is State.RUNNING else "queued"
