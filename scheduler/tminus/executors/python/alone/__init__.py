"""
A folder for the search path of runners: it has this package in it, and no library of the daemon's beside it.
"""
