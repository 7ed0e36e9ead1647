"""
Make `.venv/` with all that running and developing tminus need; with `--run`, running alone. Standard library only; run again, it
does nothing, and it adds to an environment for running what developing needs.

Copes with a Debian that has no ensurepip (python3 and python3-pip, but no python3-venv): the environment is then
made without pip and filled by the system's own `pip --python`. Where neither is there, it names the package to install.
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
    if sys.version_info < OLDEST:
        return complain(f"python {sys.version.split()[0]} is too old: tminus needs 3.11 or newer", "make PYTHON=python3.12 …")
    if sys.platform == "win32":
        return complain("this set-up is for Linux and macOS", "use WSL or the container image")
    lock = LOCK_TO_RUN if "--run" in sys.argv[1:] else LOCK_TO_DEVELOP
    found = STAMP.read_text() if STAMP.exists() else ""
    if found in (fingerprint(lock), fingerprint(LOCK_TO_DEVELOP)):
        return 0
    is_new = found != fingerprint(LOCK_TO_RUN)
    own_pip = importlib.util.find_spec("ensurepip") is not None
    if not own_pip and importlib.util.find_spec("pip") is None:
        return complain("this python can make no virtual environment", "apt install python3-venv   (or python3-pip)")
    print(f"setting up {VENV.relative_to(ROOT)}/ from {lock.name}, once …", file=sys.stderr, flush=True)
    if is_new:
        venv.create(VENV, clear=True, symlinks=True, with_pip=own_pip)
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", python]
    pip += ["--disable-pip-version-check", "--quiet", "install"]
    steps = [[*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]]
    if is_new:
        # What builds it is in the lock for developing; without that lock pip fetches it for the moment.
        isolation = ["--no-build-isolation"] if lock is LOCK_TO_DEVELOP else []
        steps.append([*pip, "--no-deps", *isolation, "-e", str(ROOT)])
    for step in steps:
        if subprocess.call(step) != 0:
            return complain(
                "installing the locked packages failed (see above)", "run it again; behind a proxy set HTTPS_PROXY and PIP_CERT"
            )
    STAMP.write_text(fingerprint(lock))
    return 0


def fingerprint(lock: Path) -> str:
    """What the environment is made from: any change of it makes a new one."""
    made_from = [lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(made_from)).hexdigest()


def complain(what: str, hint: str) -> int:
    print(f"error: {what}\n  hint: {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
