"""Rows in, values out: the only code that speaks SQL."""
