"""
A folder for the search path of runners: it contains the package `tminus`, and no library of the daemon.
"""
