"""One policy a file: its value and its decision, as pure functions; the time is an argument."""
