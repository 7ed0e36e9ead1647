"""Decisions as pure functions, one policy per file. The time is an argument."""
