"""The package `tminus` as a runner imports it: its modules are where they are installed."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[4])]
