"""The server that draws formulas, started with patience."""

import socket
import subprocess
import time
from pathlib import Path

from sphinxcontrib.katex import KaTeXServer


def start(folder: Path, timeout: float) -> tuple[subprocess.Popen, socket.socket]:
    """(process, connection): as KaTeXServer's own, which gives up where it is refused.

    node makes the file of the socket a moment before it listens there; on a busy machine a
    connection in between is refused.
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
