"""The house, checked: who imports whom, how long things are, what runs in the lanes' process."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Container, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tminus.flask
from tminus.ledger.engine import open_ledger

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scheduler" / "tminus"
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
LONGEST_TEST_NAME = 80
#: Longer than this are few.
LONG_MODULE, MOST_LONG = 300, 0.08

#: What a lane may be disturbed by; asyncio is imported by PycURL itself and never runs.
_NOT_WITH_LANES = (
    "flask",
    "sqlalchemy",
    "apscheduler",
    "yaml",
    "click",
    "rich",
    "structlog",
    "jinja2",
    "alembic",
)


#: What no command needs that only reads.
_OF_A_DAEMON = ("apscheduler", "pycurl", "flask", "alembic", "rich", "structlog")


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT))


@functools.cache
def _tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def _functions(module: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(_tree(module)) if isinstance(node, ast.FunctionDef))


@pytest.mark.processes
def test_imports_point_down() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _imported(module: Path, names: Container[str]) -> Iterator[str]:
    """Yield the modules that a module imports anywhere: in functions and for types, too."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner if inner in names else node.module,) if name in names)


def _modules() -> dict[str, Path]:
    """Return the modules of the package by their dotted names."""
    return {
        ".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): module
        for module in MODULES
        if "alone" not in module.parts  # it stands for the package in a runner
    }


def test_no_imports_go_in_a_circle() -> None:
    modules = _modules()
    imports = {name: {*_imported(module, modules)} - {name} for name, module in modules.items()}
    TopologicalSorter(imports).prepare()  # raises CycleError, with the circle


@pytest.mark.processes
def test_importing_a_module_does_nothing() -> None:
    names = [name for name in _modules() if not name.endswith("__main__") and ".migrations." not in name]
    code = """
import importlib, os, sys, threading
hooks = []
register = os.register_at_fork
def record(**more):
    hooks.append(sys._getframe(1).f_globals["__name__"])
    register(**more)
os.register_at_fork = record
for name in sys.argv[1:]:
    importlib.import_module(name)
print([name for name in hooks if name.startswith("tminus")], threading.active_count())
"""
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[] 1\n", "")


@pytest.mark.processes
def test_the_lanes_process_has_nothing_in_it_but_lanes() -> None:
    command = [
        sys.executable,
        "-c",
        "import tminus.executors.http.__main__, sys; print('\\n'.join(sys.modules))",
    ]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.partition(".")[0] in _NOT_WITH_LANES] == []


def test_the_public_names_are_these() -> None:
    assert tminus.flask.__all__ == [
        "Answer",
        "BackgroundFunction",
        "CollectedRun",
        "CurrentOccurrence",
        "Failure",
        "LedgerError",
        "LockTimeout",
        "Request",
        "RunHandle",
        "RunStatus",
        "Scheduler",
        "State",
        "TminusError",
        "UsageError",
        "background",
        "current_occurrence",
    ]


@pytest.mark.processes
def test_what_an_application_imports_of_us_needs_nothing_but_the_standard_library() -> None:
    # What the machine's own start of Python imports, as Debian's does, is none of ours.
    code = (
        "import sys; old = set(sys.modules); import tminus.flask; print('\\n'.join(set(sys.modules) - old))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    known = {"tminus", "__main__", *sys.stdlib_module_names}
    assert [name for name in loaded if name.partition(".")[0] not in known and not name.startswith("_")] == []


@pytest.mark.processes
def test_importing_the_package_costs_nothing() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; old = set(sys.modules); import tminus; print(len(set(sys.modules) - old))",
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "1"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("command", "not_imported"),
    [
        pytest.param("next", {*_OF_A_DAEMON, "psycopg", "msgspec"}, id="next"),
        pytest.param("status", {*_OF_A_DAEMON, "psycopg"}, id="status"),
        pytest.param("history", {*_OF_A_DAEMON, "psycopg", "cronsim", "jinja2"}, id="history"),
        pytest.param("skew", {*_OF_A_DAEMON, "psycopg", "cronsim", "jinja2"}, id="skew"),
        pytest.param("--version", {"sqlalchemy", "yaml", "jinja2"}, id="version"),
    ],
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, command: str, not_imported: set[str]) -> None:
    ledger = f"sqlite:///{tmp_path}/ledger/ledger.db"
    open_ledger(ledger).close()
    program = "import sys; from tminus.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command_line = [sys.executable, "-c", program, "--ledger", ledger, command]
    loaded = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=True).stderr.split()
    assert "tminus.cli.main" in loaded
    assert {name.partition(".")[0] for name in loaded} & not_imported == set()
    assert "sqlalchemy.dialects.postgresql" not in loaded


def test_no_module_is_longer_than_one_idea() -> None:
    lengths = {_name(module): len(module.read_text().splitlines()) for module in MODULES}
    assert {name for name, lines in lengths.items() if lines > LONGEST_MODULE} == set()
    assert sum(lines > LONG_MODULE for lines in lengths.values()) <= MOST_LONG * len(MODULES)


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
        for call in ast.walk(_tree(module))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("threading.Thread")
        if not any(keyword.arg == "name" for keyword in call.keywords)
    ]
    assert unnamed == []


def test_every_module_says_what_it_is_for() -> None:
    assert [_name(module) for module in MODULES if not ast.get_docstring(_tree(module))] == []


def test_everything_public_has_a_docstring() -> None:
    silent = [
        f"{_name(module)}:{node.name}"
        for module in MODULES
        if "migrations" not in module.parts
        for node in _tree(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if not any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_names_of_files_say_what_they_hold() -> None:
    assert [
        _name(module)
        for module in MODULES
        if module.stem in {"utils", "common", "helpers", "base", "manager"}
    ] == []


def test_only_the_clock_reads_the_time() -> None:
    readers = [
        _name(module)
        for module in MODULES
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names)
    ]
    assert readers == ["scheduler/tminus/clock.py"]


def test_the_names_of_tests_fit_into_a_line() -> None:
    long = [
        f"{_name(file)}:{name}"
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"def (test_\w+)", file.read_text())
        if len(name) > LONGEST_TEST_NAME
    ]
    assert long == []


def test_the_events_of_the_log_that_tests_name_exist() -> None:
    """A test that expects an event not to be logged would also pass if it had been renamed."""
    nodes = (node for module in MODULES for node in ast.walk(_tree(module)))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    assert set(re.findall(r'said\(\s*"([^"]+)"', tests)) - texts == set()


def test_nothing_sleeps_in_disguise() -> None:
    """An event that nobody has is a sleep: programs take the Clock, tests wait for what they are about."""
    sources = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
    sleeps = re.compile(r"Event\(\)\.wait\([^)]")  # in the applications that tests write, too
    assert [_name(source) for source in sources if sleeps.search(source.read_text())] == []
