"""Typed Python client of the cloud API."""
