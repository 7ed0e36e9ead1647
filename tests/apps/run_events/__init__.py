"""A site with the event streams of runs."""
