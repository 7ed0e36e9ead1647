"""The house, checked: who imports whom, how long things are, what runs in the lanes' process."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import scheduler.flask
from scheduler.ledger.engine import open_ledger

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scheduler"
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
#: Modules that are longer than most may be, and may only shrink.
_OVER_300 = {"scheduler/jobsfile/language.py", "scheduler/jobsfile/reader.py"}

#: What a lane may be disturbed by; asyncio is imported by PycURL itself and never runs.
_NOT_WITH_LANES = ("flask", "sqlalchemy", "apscheduler", "yaml", "pydantic", "click", "rich", "structlog", "jinja2", "alembic")


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT))


def _functions(module: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.FunctionDef))


def test_imports_point_down() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_lanes_process_has_nothing_in_it_but_lanes() -> None:
    command = [sys.executable, "-c", "import scheduler.executors.http.__main__, sys; print('\\n'.join(sys.modules))"]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.partition(".")[0] in _NOT_WITH_LANES] == []


def test_the_public_names_are_these() -> None:
    assert scheduler.flask.__all__ == ["Answer", "Failure", "Scheduler", "background", "current_occurrence"]


def test_what_an_application_imports_of_us_needs_nothing_but_the_standard_library() -> None:
    # What the machine's own start of Python imports, as Debian's does, is none of ours.
    code = "import sys; old = set(sys.modules); import scheduler.flask; print('\\n'.join(set(sys.modules) - old))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    known = {"scheduler", "__main__", *sys.stdlib_module_names}
    assert [name for name in loaded if name.partition(".")[0] not in known and not name.startswith("_")] == []


def test_importing_the_package_costs_nothing() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; old = set(sys.modules); import scheduler; print(len(set(sys.modules) - old))",
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "1"


@pytest.mark.parametrize(
    ("command", "not_imported"),
    [
        pytest.param(
            "next", {"sqlalchemy", "apscheduler", "pycurl", "flask", "alembic", "rich", "structlog", "msgspec"}, id="next"
        ),
        pytest.param(
            "status", {"pydantic", "apscheduler", "pycurl", "flask", "alembic", "rich", "structlog", "psycopg"}, id="status"
        ),
        pytest.param(
            "history",
            {"pydantic", "cronsim", "apscheduler", "pycurl", "flask", "alembic", "rich", "structlog", "psycopg", "jinja2"},
            id="history",
        ),
        pytest.param(
            "skew",
            {"pydantic", "cronsim", "apscheduler", "pycurl", "flask", "alembic", "rich", "structlog", "psycopg", "jinja2"},
            id="skew",
        ),
        pytest.param("--version", {"sqlalchemy", "yaml", "pydantic", "jinja2"}, id="version"),
    ],
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, command: str, not_imported: set[str]) -> None:
    ledger = f"sqlite:///{tmp_path}/ledger/ledger.db"
    open_ledger(ledger).close()
    program = "import sys; from scheduler.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command_line = [sys.executable, "-c", program, "--ledger", ledger, command]
    loaded = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=True).stderr.split()
    assert "scheduler.cli.main" in loaded
    assert {name.partition(".")[0] for name in loaded} & not_imported == set()
    assert "sqlalchemy.dialects.postgresql" not in loaded


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_no_module_is_longer_than_one_idea(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= (LONGEST_MODULE if _name(module) in _OVER_300 else 300)


def test_no_function_is_longer_than_a_page() -> None:
    long = [
        f"{_name(module)}:{function.name}"
        for module in MODULES
        for function in _functions(module)
        if function.end_lineno and function.end_lineno - function.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_every_thread_has_a_name() -> None:
    unnamed = [
        f"{_name(module)}:{call.lineno}"
        for module in MODULES
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("threading.Thread")
        if not any(keyword.arg == "name" for keyword in call.keywords)
    ]
    assert unnamed == []


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_everything_public_has_a_docstring() -> None:
    silent = [
        f"{_name(module)}:{node.name}"
        for module in MODULES
        if "migrations" not in module.parts
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if not any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_names_of_files_say_what_they_hold() -> None:
    assert [_name(module) for module in MODULES if module.stem in {"utils", "common", "helpers", "base", "manager"}] == []


def test_only_the_clock_reads_the_time() -> None:
    readers = [
        _name(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names)
    ]
    assert readers == ["scheduler/clock.py"]
