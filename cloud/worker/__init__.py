"""The worker: choose → claim → render → run → save."""
