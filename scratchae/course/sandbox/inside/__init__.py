"""The code that runs in a process with a student's code. It is copied into the sandbox, so it imports
nothing of scratchae."""
