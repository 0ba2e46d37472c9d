"""Engines as this machine can reach them."""
