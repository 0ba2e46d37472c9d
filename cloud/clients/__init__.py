"""Adapters of other people's systems: one vendor SDK each, each with a local twin."""
