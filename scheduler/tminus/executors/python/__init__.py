"""
The Python executor: a process for each Flask application, with a thread for each due job. It needs only the
standard library and Flask.
"""
