"""The journal: what the desktop must still know after a crash."""
