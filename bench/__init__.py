"""
Measures how simultaneous a batch is: on the wire, compared with peers and with the limit, in one run. This is
not a test.
"""
