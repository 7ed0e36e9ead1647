"""A run as JSON. The page, the script and the event stream use the same JSON."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tminus.outcome import OccurrenceState, Outcome

if TYPE_CHECKING:
    from tminus.model.background import RunStatus

_STATES = {Outcome.SUCCEEDED: "completed", Outcome.CANCELLED: "cancelled", Outcome.SKIPPED: "cancelled"}


def run_to_dict(status: "RunStatus") -> dict[str, Any]:
    """Return the JSON object. Its keys, and the words of `state`, are the same in every version."""
    state = _state(status)
    return {
        "id": status.id,
        "state": state,
        "progress": status.progress,
        "progress_text": status.progress_text,
        "result": status.result,
        "error": {"kind": str(status.outcome), "message": status.reason} if state == "failed" else None,
        "attempts": status.attempts,
    }


def run_to_text(status: "RunStatus") -> str:
    """Return the JSON on one line, whatever JSON provider the application uses."""
    return json.dumps(run_to_dict(status))


def etag(text: str) -> str:
    """Return a hash of a text: an ETag, and the id of an event."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _state(status: "RunStatus") -> str:
    if status.outcome is not None:
        return _STATES.get(status.outcome, "failed")
    return "processing" if status.state is OccurrenceState.RUNNING else "queued"
