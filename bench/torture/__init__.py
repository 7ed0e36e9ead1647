"""
Fault rounds: a daemon with a hundred jobs, faults selected by a seed, and a judge that knows only the
witnesses and the ledger.
"""
