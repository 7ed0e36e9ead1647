"""
Delivery: one notification to one channel. No part of it waits longer than its timeout, or shows a secret.
"""
