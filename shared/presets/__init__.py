"""Preset bundles: what they declare and how they become a graph."""
