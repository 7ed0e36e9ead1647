"""The locations of the jobs file and the ledger, and the settings that name them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tminus.errors import UsageError, is_utf8, quoted

_SYSTEM_CONFIG = Path("/etc/tminus/jobs.yaml")
_SYSTEM_LEDGER = Path("/var/lib/tminus/ledger.db")


@dataclass(frozen=True, slots=True)
class Location:
    """A path or URL, and which setting names it."""

    value: str
    why: str


def jobs_file(option: str | None, environ: Mapping[str, str]) -> Location:
    """
    Return the jobs file: the option, `$TMINUS_CONFIG`, `./jobs.yaml` or `/etc/tminus/jobs.yaml`, whichever
    comes first.

    Raises:
        UsageError: none is named, and none is in the usual places; or its path is not UTF-8.
    """
    if option:
        return Location(option, "--config")
    if environ.get("TMINUS_CONFIG"):
        return _checked(Location(environ["TMINUS_CONFIG"], "$TMINUS_CONFIG"))
    if Path("jobs.yaml").exists():
        return Location("jobs.yaml", "in this folder")
    if _SYSTEM_CONFIG.exists():
        return Location(str(_SYSTEM_CONFIG), "the system's")
    hint = "name one with --config FILE or $TMINUS_CONFIG; `tminus demo` needs none"
    raise UsageError(f"no jobs file: neither ./jobs.yaml nor {_SYSTEM_CONFIG} exists", hint=hint)


def ledger(option: str | None, named: str | None, config: str | None, environ: Mapping[str, str]) -> Location:
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


def _ledger(
    option: str | None, named: str | None, config: str | None, environ: Mapping[str, str]
) -> Location:
    if option:
        return Location(option, "--ledger")
    if environ.get("TMINUS_LEDGER"):
        return Location(environ["TMINUS_LEDGER"], "$TMINUS_LEDGER")
    if named:
        from tminus import templates
        from tminus.secrets.references import References

        folder = str(Path(config or ".").resolve().parent)
        return Location(
            str(templates.render(named, {}, References(folder, environ).value_of)), f"ledger: in {config}"
        )
    if environ.get("STATE_DIRECTORY"):
        return Location(
            _sqlite(Path(environ["STATE_DIRECTORY"].split(":")[0]) / "ledger.db"), "$STATE_DIRECTORY"
        )
    if config and _SYSTEM_CONFIG.parent in Path(config).resolve().parents:
        return Location(_sqlite(_SYSTEM_LEDGER), f"the jobs file is under {_SYSTEM_CONFIG.parent}/")
    from tminus.ledger.files import own_url  # with SQLAlchemy

    return Location(own_url(environ), "$XDG_STATE_HOME or ~/.local/state")


def _checked(place: Location) -> Location:
    if not is_utf8(place.value):
        raise UsageError(
            f"{place.why} is not UTF-8: {quoted(place.value)}", hint="use a path of letters that UTF-8 has"
        )
    return place


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"
