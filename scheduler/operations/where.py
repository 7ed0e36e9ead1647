"""Where the jobs file and the ledger are, and why there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import UsageError, is_utf8, quoted

_SYSTEM_CONFIG = Path("/etc/tminus/jobs.yaml")
_SYSTEM_LEDGER = Path("/var/lib/tminus/ledger.db")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is, and why there."""

    value: str
    why: str


def jobs_file(option: str | None, environ: Mapping[str, str]) -> Place:
    """
    Return the jobs file: the option, `$TMINUS_CONFIG`, `./jobs.yaml` or `/etc/tminus/jobs.yaml`, whichever comes first.

    Raises:
        UsageError: none is named, and none is in the usual places; or its path is not UTF-8.
    """
    if option:
        return Place(option, "--config")
    if environ.get("TMINUS_CONFIG"):
        return _checked(Place(environ["TMINUS_CONFIG"], "$TMINUS_CONFIG"))
    if Path("jobs.yaml").exists():
        return Place("jobs.yaml", "in this folder")
    if _SYSTEM_CONFIG.exists():
        return Place(str(_SYSTEM_CONFIG), "the system's")
    hint = "name one with --config FILE or $TMINUS_CONFIG; `tminus demo` needs none"
    raise UsageError(f"no jobs file: neither ./jobs.yaml nor {_SYSTEM_CONFIG} is there", hint=hint)


def ledger(option: str | None, named: str | None, config: str | None, environ: Mapping[str, str]) -> Place:
    """
    Return the ledger's URL: of the places that may name it, the first one that does.

    Args:
        option: `--ledger`.
        named: `ledger:` in the jobs file, which may contain `${…}`.
        config: The jobs file.
        environ: The environment.

    Raises:
        UsageError: the URL is not UTF-8.
    """
    return _checked(_ledger(option, named, config, environ))


def _ledger(option: str | None, named: str | None, config: str | None, environ: Mapping[str, str]) -> Place:
    if option:
        return Place(option, "--ledger")
    if environ.get("TMINUS_LEDGER"):
        return Place(environ["TMINUS_LEDGER"], "$TMINUS_LEDGER")
    if named:
        from scheduler import templates
        from scheduler.jobsfile.references import References

        folder = str(Path(config or ".").resolve().parent)
        return Place(str(templates.render(named, {}, References(folder, environ).value_of)), f"ledger: in {config}")
    if environ.get("STATE_DIRECTORY"):
        return Place(_sqlite(Path(environ["STATE_DIRECTORY"].split(":")[0]) / "ledger.db"), "$STATE_DIRECTORY")
    if config and _SYSTEM_CONFIG.parent in Path(config).resolve().parents:
        return Place(_sqlite(_SYSTEM_LEDGER), f"the jobs file lies under {_SYSTEM_CONFIG.parent}/")
    from scheduler.ledger.files import own_url  # with SQLAlchemy

    return Place(own_url(environ), "$XDG_STATE_HOME or ~/.local/state")


def _checked(place: Place) -> Place:
    if not is_utf8(place.value):
        raise UsageError(f"{place.why} is not UTF-8: {quoted(place.value)}", hint="use a path of letters that UTF-8 has")
    return place


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"
