"""An application whose ledger has rows that others have written."""
