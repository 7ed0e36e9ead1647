"""The commands, by topic; `scheduler.cli.main` imports the one that is asked for."""
