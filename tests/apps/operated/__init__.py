"""An application that runs, pauses and resumes its own jobs."""
