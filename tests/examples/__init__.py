"""The examples, run for real: each with its daemon, its gunicorn and, where there is a page, a browser."""
