"""Torture rounds: a daemon with a hundred jobs, faults drawn by a seed, and a judge that knows only witnesses and the ledger."""
