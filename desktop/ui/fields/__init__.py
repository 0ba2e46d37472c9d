"""One editor for each type of parameter."""
