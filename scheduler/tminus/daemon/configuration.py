"""The state of the configuration: whether the current jobs file and code of the applications are in force."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from tminus.model.code_job import CodeJob


class ConfigState(Enum):
    """
    | state | in | out |
    | --- | --- | --- |
    | VALID | file and code are in force | RELOADING; REJECTED or BROKEN with other code |
    | REJECTED | the file is not valid with the changed code | RELOADING; VALID or BROKEN with other code |
    | BROKEN | the file is not valid, an application does not work, or a reload failed | RELOADING |
    | UNWRITTEN | the ledger did not take a reload | RELOADING after a while, with a change, or if asked for |
    | RELOADING | a reload is under way | any of the others |

    In each state the definitions of the last VALID state are in force. If the ledger did not take a change, a
    part of the change may be in force, too.
    """

    VALID = auto()
    REJECTED = auto()
    BROKEN = auto()
    UNWRITTEN = auto()
    RELOADING = auto()


class NextStep(Enum):
    """The next step for the configuration."""

    RELOAD = auto()  #: even if nothing has changed
    RELOAD_CHANGES = auto()  #: unless the file still means what is in force; after REJECTED always
    TAKE_CODE_JOBS = auto()  #: take the jobs that runners have reported, if they have changed
    WAIT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    The state of the configuration. Immutable: each transition returns the configuration after it.

    Attributes:
        problem: Why the file and the code are not in force, for people; None if they are, as far as is known.
            During a reload, the one from before.
        rejected_code: The jobs in the code that are not valid together with the file.
        is_reload_refused: Whether the problem is that of a reload. Then the jobs file that was read may not
            be the one in force.
        retry_at_ns: When a reload that the ledger did not take is repeated; monotonic clock.
        is_reloading: Whether a reload is under way.
    """

    problem: str | None = None
    rejected_code: Sequence[CodeJob] | None = None
    is_reload_refused: bool = False
    retry_at_ns: int | None = None
    is_reloading: bool = False

    @property
    def state(self) -> ConfigState:
        """The state. During a reload, `problem` and `rejected_code` keep their values."""
        if self.is_reloading:
            return ConfigState.RELOADING
        if self.retry_at_ns is not None:
            return ConfigState.UNWRITTEN
        if self.problem is None:
            return ConfigState.VALID
        return ConfigState.BROKEN if self.rejected_code is None else ConfigState.REJECTED

    def next_step(self, *, is_asked_for: bool, has_changed: bool, now_ns: int) -> NextStep:
        """
        Return what to do.

        Args:
            is_asked_for: Whether a person has asked for a reload.
            has_changed: Whether a file has changed.
            now_ns: Monotonic clock.
        """
        match self.state:
            case ConfigState.RELOADING:
                return NextStep.WAIT
            case _ if is_asked_for:
                return NextStep.RELOAD
            case ConfigState.UNWRITTEN:  # whatever the file says now: a part of the reload may be in force
                is_due = self.retry_at_ns is not None and now_ns >= self.retry_at_ns
                return NextStep.RELOAD if is_due or has_changed else NextStep.WAIT
            case _ if has_changed:
                return NextStep.RELOAD_CHANGES
            case ConfigState.BROKEN:
                return NextStep.WAIT
            case _:
                return NextStep.TAKE_CODE_JOBS

    def may_take(self, code: Sequence[CodeJob], *, in_force: Sequence[CodeJob]) -> bool:
        """Return whether reported jobs are worth a try: neither those in force nor those rejected before."""
        return code not in (in_force, self.rejected_code)

    def start_reload(self) -> "Configuration":
        """Return the configuration during a reload."""
        return replace(self, is_reloading=True, retry_at_ns=None)

    def adopt(self) -> "Configuration":
        """Return the configuration after everything came into force."""
        return Configuration()

    def reject(self, problem: str, code: Sequence[CodeJob] | None) -> "Configuration":
        """
        Return the configuration after a change that was refused.

        Args:
            problem: The reason, for people.
            code: The jobs in the code, if they had changed.
        """
        return Configuration(problem=problem, rejected_code=code, is_reload_refused=self.is_reloading)

    def fail_to_write(self, problem: str, retry_at_ns: int) -> "Configuration":
        """
        Return the configuration after a reload that the ledger refused.

        Args:
            problem: The reason, for people.
            retry_at_ns: When the reload is repeated; monotonic clock.
        """
        return replace(self, problem=problem, is_reloading=False, retry_at_ns=retry_at_ns)
