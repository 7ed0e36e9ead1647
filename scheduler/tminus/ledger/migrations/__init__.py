"""Numbered migrations, forward only; `tminus.ledger.migrate` runs them."""
