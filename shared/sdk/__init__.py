"""The typed client of the cloud API: asynchronous and blocking faces over one core."""
