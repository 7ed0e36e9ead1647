"""The commands, by topic; `tminus.cli.main` imports the one that is asked for."""
