"""Executor processes: how they are started, what is sent to them, and how their end is noticed."""
