"""
The usual ways to start N requests at T. Each is a program of its own and does nothing else.
"""
