"""A daemon whose wall clock is set: the clock itself, and what is measured with it."""
