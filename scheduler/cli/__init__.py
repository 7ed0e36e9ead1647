"""The command line, on top of everything: `tminus`, `python run_scheduler.py`."""
