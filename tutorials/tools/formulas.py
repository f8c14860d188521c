"""Start the server that draws formulas, also on a busy machine."""

import socket
import subprocess
import time
from pathlib import Path

from sphinxcontrib.katex import KaTeXServer


def start(folder: Path, timeout: float) -> tuple[subprocess.Popen, socket.socket]:
    """Return (process, connection). Unlike KaTeXServer's own method, try again after a refusal.

    node creates the file of the socket a moment before it listens there, so an early connection may
    be refused.
    """
    path, end = folder / "katex.sock", time.monotonic() + timeout
    command = KaTeXServer.build_command(socket=path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=folder, **pipes)
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return process, connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > end or process.poll() is not None:
                process.kill()
                raise
            time.sleep(0.001)
