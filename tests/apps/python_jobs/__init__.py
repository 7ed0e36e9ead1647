"""An application whose views and functions are targets of jobs."""
