"""What one can ask, each once, a verb a file: the command line, later the API, pages and extension, only call these."""
