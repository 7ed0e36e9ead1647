"""Numbered migrations, forward only; `scheduler.ledger.migrate` runs them."""
