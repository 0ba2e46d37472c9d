"""Jobs as both programs see them: states, events, progress."""
