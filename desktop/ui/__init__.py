"""Widgets: they show state and emit intent."""
