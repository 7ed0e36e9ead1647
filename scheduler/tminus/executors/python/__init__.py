"""
The runner: a process for each Flask application, and one for functions without an application. It starts a
thread for each due job; `fork_server.py` forks a process for each isolated job. It needs only the standard
library and Flask.
"""
