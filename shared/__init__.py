"""What the desktop and the cloud share; never Qt, FastAPI, SQL or Redis."""
