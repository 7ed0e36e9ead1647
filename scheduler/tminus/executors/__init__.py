"""The executor processes. They release shards at T: `http` sends requests, `python` calls functions."""
