"""What runs inside the jail. It is copied there, so it imports nothing of scratchae but its neighbours."""
