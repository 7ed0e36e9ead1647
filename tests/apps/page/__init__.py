"""A site whose page follows background runs, under a strict policy."""
