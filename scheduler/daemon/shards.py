"""A shard as the daemon has it, and what may happen to it besides the reports of its executor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """
    The executor died while it had the shard, so that no further report comes.

    Attributes:
        at_ns: When that was noticed, wall clock.
        how: For people.
        entered: When works had begun, by their index; None if that is unknown.
        preparing: Works that were being prepared.
        busy: In how many works of the process, of all its shards, a user's code was running.
    """

    at_ns: int
    how: str
    entered: Mapping[int, int] | None = None
    preparing: Sequence[int] = ()
    busy: int = 0


@dataclass(frozen=True, slots=True)
class Broken:
    """The executor does not work, and did not get the shard."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """
    The shard was not sent, because some of its works cannot be encoded. The others can be armed again without them.

    Attributes:
        works: The reasons, by the index of the work.
    """

    works: Mapping[int, str]


#: What an executor reports of a shard, or one of the three above.
ShardEvent = Any


class Shard:
    """
    A shard. What happens to it goes to `tell`, in order, on the supervisor's thread.

    Attributes:
        answer_by_ns: If the executor has reported nothing of it by then, it hangs. Monotonic.
    """

    def __init__(self, number: int, command: Any, tell: Callable[["Shard", ShardEvent], None], *, answer_by_ns: int = 0) -> None:
        self.number = number
        self.command = command
        self.answer_by_ns = answer_by_ns
        self.is_sent = False
        self.is_answered = False
        self._tell = tell

    def tell(self, event: ShardEvent) -> None:
        """Report what has happened to it."""
        self._tell(self, event)


def unsendable(encodings: Mapping[int, Callable[[], bytes]], why: str) -> Mapping[int, str]:
    """Return which of these encodings raise, and why; if none does, all, for this reason."""
    found = {}
    for index, encode in encodings.items():
        try:
            encode()
        except Exception as error:  # noqa: BLE001  whatever a job's values do to msgpack or JSON
            found[index] = f"it cannot be sent to its executor: {error}"
    return found or dict.fromkeys(encodings, f"it cannot be sent to its executor: {why}")
