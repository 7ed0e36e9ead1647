"""
Create `.venv/` with everything for running and developing tminus; with `--run`, only for running. A second
call does nothing. A call without `--run` extends an environment that was made with it. Standard library only.

A Debian with python3-pip but without python3-venv has no ensurepip. The environment is then created without
pip and filled by the system's `pip --python`. If both are missing, the script names the package to install.
"""

import hashlib
import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK_TO_RUN, LOCK_TO_DEVELOP = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
STAMP = VENV / "tminus.stamp"
OLDEST = (3, 11)


def main() -> int:
    """Create or extend the environment; return the exit status."""
    if sys.version_info < OLDEST:
        return fail(
            f"python {sys.version.split()[0]} is too old: tminus needs 3.11 or newer",
            "make PYTHON=python3.12 …",
        )
    if sys.platform != "linux":
        return fail("this set-up is for Linux", "use a virtual machine, WSL or the container image")
    lock = LOCK_TO_RUN if "--run" in sys.argv[1:] else LOCK_TO_DEVELOP
    found = STAMP.read_text() if STAMP.exists() else ""
    if found in (fingerprint(lock), fingerprint(LOCK_TO_DEVELOP)):
        return 0
    is_new = found != fingerprint(LOCK_TO_RUN)
    own_pip = importlib.util.find_spec("ensurepip") is not None
    if not own_pip and importlib.util.find_spec("pip") is None:
        return fail(
            "this python cannot create a virtual environment", "apt install python3-venv   (or python3-pip)"
        )
    print(f"setting up {VENV.relative_to(ROOT)}/ from {lock.name}, once …", file=sys.stderr, flush=True)
    if is_new:
        venv.create(VENV, clear=True, symlinks=True, with_pip=own_pip)
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", python]
    pip += ["--disable-pip-version-check", "--quiet", "install"]
    steps = [[*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]]
    if is_new:
        # The lock for developing contains the build backend. Without that lock, pip downloads it temporarily.
        isolation = ["--no-build-isolation"] if lock is LOCK_TO_DEVELOP else []
        steps.append([*pip, "--no-deps", *isolation, "-e", str(ROOT)])
    for step in steps:
        if subprocess.call(step) != 0:
            return fail(
                "installing the locked packages failed (see above)",
                "run it again; behind a proxy set HTTPS_PROXY and PIP_CERT",
            )
    STAMP.write_text(fingerprint(lock))
    return 0


def fingerprint(lock: Path) -> str:
    """Return a hash of everything that the environment depends on. A change of it makes a new environment."""
    made_from = [
        lock.read_bytes(),
        (ROOT / "pyproject.toml").read_bytes(),
        sys.version.encode(),
        str(ROOT).encode(),
    ]
    return hashlib.sha256(b"\0".join(made_from)).hexdigest()


def fail(message: str, hint: str) -> int:
    """Print an error; return the exit status."""
    print(f"error: {message}\n  hint: {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
