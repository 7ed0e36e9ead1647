"""
tminus: a concurrent batch scheduler daemon. Importing the package costs nothing; `tminus.flask` is its public
API.
"""

__version__ = "0.1.0"
