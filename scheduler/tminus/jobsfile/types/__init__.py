"""Types of values in a jobs file: how each is written, and what it means."""
