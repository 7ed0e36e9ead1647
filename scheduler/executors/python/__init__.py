"""The Python executor: a process for each Flask application, a thread for each due job. Standard library and Flask only."""
