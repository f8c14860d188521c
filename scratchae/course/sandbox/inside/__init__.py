"""The code that runs beside a student's code. It is copied there, so it imports nothing of scratchae."""
