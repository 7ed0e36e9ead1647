"""Runs without a batch: background runs, and the links of chains."""
