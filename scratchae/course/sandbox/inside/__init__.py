"""What runs beside a student's code. It is copied into the sandbox, so it imports nothing of scratchae."""
