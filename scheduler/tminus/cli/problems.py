"""Problems of a jobs file on the terminal: each with its place, the line, a caret and a hint."""

from collections.abc import Sequence

from tminus.cli.output import CommandOutput
from tminus.jobsfile.text.problems import Problem, Role, Severity, render

_STYLES = {
    Role.ERROR: "bold red",
    Role.WARNING: "bold yellow",
    Role.MESSAGE: "bold",
    Role.PLACE: "blue",
    Role.GUTTER: "dim",
    Role.CARET: "bold red",
    Role.HINT: "cyan",
}


def print_problems(output: CommandOutput, problems: Sequence[Problem]) -> None:
    """Print the problems to stderr, in the given order."""
    for problem in problems:
        text = "".join(
            _colored(part, role) if output.has_color_in_messages else part for role, part in render(problem)
        )
        output.say_always(text)


def summary(errors: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    """Return a summary: `2 errors, 1 warning`."""
    counts = ((len(errors), Severity.ERROR.value), (len(warnings), Severity.WARNING.value))
    return (
        ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count)
        or "no problems"
    )


def _colored(text: str, role: Role) -> str:
    from rich.style import Style

    style = _STYLES.get(role)
    return Style.parse(style).render(text) if style else text
