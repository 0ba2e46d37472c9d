"""Hot folders: sources watched, files taken in once, results delivered."""
