"""Files that no checkout can hold: FIFOs, loops of links, huge ones, secrets that others can read."""

import os
from pathlib import Path

import pytest

from tests.unit.jobsfile.jobs_text import TOP, load_text, messages
from tminus.jobsfile.load import load
from tminus.secrets.references import References, Unresolved
from tminus.templates import Reference

JOB = "jobs: {a: {schedule: manual, http: https://a.example}}\n"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_link_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(make_fifo, "is a FIFO", id="fifo"),
        pytest.param(make_link_loop, "its symbolic links go round in a circle", id="link-loop"),
        pytest.param(Path.mkdir, "is a directory", id="directory"),
        pytest.param(lambda path: path.symlink_to("/dev/null"), "is a device", id="device"),
        pytest.param(lambda path: None, "no such file", id="nothing"),
    ],
)
def test_a_jobs_file_that_is_no_file(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "jobs.yaml"
    assert callable(make)
    make(path)
    loaded = load(path)
    assert loaded.definitions is None
    assert messages(loaded) == [f"{path}:1:1: cannot read {path}: {reason}"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(make_fifo, "is a FIFO", id="fifo"),
        pytest.param(make_link_loop, "its symbolic links go round in a circle", id="link-loop"),
        pytest.param(Path.mkdir, "is a directory", id="directory"),
    ],
)
def test_an_included_file_that_is_no_file(tmp_path: Path, make: object, reason: str) -> None:
    assert callable(make)
    (tmp_path / "jobs.d").mkdir()
    make(tmp_path / "jobs.d" / "x.yaml")
    loaded = load_text(tmp_path, TOP + "include: ['jobs.d/*.yaml']\n" + JOB)
    assert messages(loaded) == [f"jobs.yaml:3:11: include[0]: cannot read jobs.d/x.yaml: {reason}"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "etc", tmp_path / "outside.yaml"
    folder.mkdir()
    outside.write_text("jobs: {}\n")
    (folder / "x.yaml").symlink_to(outside)
    loaded = load_text(folder, TOP + "include: ['x*.yaml']\n" + JOB)
    assert messages(loaded) == ["jobs.yaml:3:11: include[0]: x.yaml is outside the folder of the jobs file"]


def test_includes_go_only_so_deep(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.yaml").write_text(f"include: [{number + 1}.yaml]\n")
    loaded = load_text(tmp_path, TOP + "include: [0.yaml]\n" + JOB)
    assert messages(loaded) == ["9.yaml:1:11: include[0]: includes too deep (10)"]


def test_a_file_over_16_mib_is_too_large(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, b"#" * (16 << 20) + b"\n")
    assert messages(loaded) == ["jobs.yaml:1:1: cannot read jobs.yaml: too large, more than 16 MiB"]


def test_a_file_of_16_mib_is_not(tmp_path: Path) -> None:
    text = (TOP + JOB).encode()
    assert load_text(tmp_path, text + b"#" * ((16 << 20) - len(text))).errors == ()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "token"
    secret.write_text("hunter2\n")
    secret.chmod(mode)
    http = "http: {url: https://a.example, headers: {X-Token: '${file:token}'}}"
    loaded = load_text(tmp_path, f"{TOP}jobs: {{a: {{schedule: manual, {http}}}}}\n")
    wanted = f"jobs.a.http.headers.X-Token: token: secret file mode {mode:04o}; must be 0600 or 0400"
    assert [problem.message for problem in loaded.errors] == [wanted]
    assert loaded.errors[0].hint == "chmod 600 token"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o500])
def test_a_secret_file_of_ones_own_is_read(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "token"
    secret.write_text("hunter2\n\n")
    secret.chmod(mode)
    assert References(str(tmp_path), {}).value_of(Reference("file", "token")) == "hunter2\n"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        pytest.param(b"hunter2", "hunter2", id="no-newline"),
        pytest.param(b"hunter2\r\n", "hunter2", id="newline-of-windows"),
        pytest.param(b"hunter2\r", "hunter2\r", id="lone-return-stays"),
        pytest.param(b"", "", id="empty"),
        pytest.param("schlüssel\n".encode(), "schlüssel", id="not-ascii"),
    ],
)
def test_one_last_newline_of_a_secret_file_is_dropped(tmp_path: Path, content: bytes, value: str) -> None:
    secret = tmp_path / "token"
    secret.write_bytes(content)
    secret.chmod(0o600)
    assert References(str(tmp_path), {}).value_of(Reference("file", "token")) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"x" * (64 << 10) + b"y", "secret token cannot be read: too large, more than 64 KiB", id="large"
        ),
        pytest.param(b"hunter2\xff", "token: secret file is not UTF-8", id="not-utf-8"),
    ],
)
def test_a_secret_file_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    secret = tmp_path / "token"
    secret.write_bytes(content)
    secret.chmod(0o600)
    with pytest.raises(Unresolved) as raised:
        References(str(tmp_path), {}).value_of(Reference("file", "token"))
    assert raised.value.message == message
    assert "hunter2" not in repr(raised.value)


def test_a_variable_stands_for_its_value_even_an_empty_one() -> None:
    references = References("/", {"FULL": "x", "EMPTY": ""})
    assert [references.value_of(Reference("env", name)) for name in ("FULL", "EMPTY")] == ["x", ""]


def test_a_fifo_as_a_secret_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    with pytest.raises(Unresolved, match="is a FIFO"):
        References(str(tmp_path), {}).value_of(Reference("file", "token"))
