"""The command line: `tminus` and `python run_scheduler.py`. It is the top layer."""
