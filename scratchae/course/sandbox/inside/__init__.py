"""What runs inside the sandbox. It is copied there, so it imports nothing of scratchae but its neighbours."""
