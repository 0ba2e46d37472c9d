"""Jobs on this machine: journalled, run, delivered."""
