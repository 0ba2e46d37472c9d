"""Housekeeping: short tasks that ARQ runs in a cluster and timers run on one box."""
