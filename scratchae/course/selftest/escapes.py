"""Attacks that want out of their process: to other processes, the network, more rights."""

from scratchae.course.selftest.attack import probe

ESCAPES = (
    probe("fork bomb", "import os\nreturn os.fork() or os._exit(0)"),
    probe(
        "fork by the system calls themselves",
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (56, 57, 58, 435):  # clone, fork, vfork, clone3
            got = libc.syscall(number, 17, 0, 0, 0, 0)
            if got >= 0:
                return number
        """,
    ),
    probe(
        "thread bomb",
        """
        import threading, time
        for count in range(5000):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        return count
        """,
    ),
    probe(
        "a daemon that outlives",
        """
        import os, subprocess
        done = []
        for start in (
            lambda: os.posix_spawn("/usr/bin/sleep", ["sleep", "1000"], {}),
            lambda: subprocess.Popen(["/usr/bin/sleep", "1000"], start_new_session=True),
            os.setsid,
        ):
            try:
                done.append(start())
            except BaseException as error:
                last = error
        if done:
            return done
        raise last
        """,
    ),
    probe(
        "network by TCP",
        """
        import socket
        with socket.create_connection(("127.0.0.1", PORT), timeout=1) as connection:
            connection.send(b"hello")
        return "connected"
        """,
    ),
    probe(
        "network by UDP",
        """
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", PORT))
        return "sent"
        """,
    ),
    probe(
        "network by other kinds of sockets",
        """
        import socket
        found = []
        for family in (socket.AF_UNIX, socket.AF_INET6, 16, 17, 40):  # netlink, packet, vsock
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
                try:
                    found.append(socket.socket(family, kind).fileno())
                except OSError as error:
                    last = error
        if found:
            return found
        raise last
        """,
    ),
    probe(
        "kill of neighbours",
        """
        import os, signal
        found = []
        for pid in (VICTIM, os.getppid(), 1, 2, -1):
            try:
                os.kill(pid, signal.SIGKILL)
                found.append(pid)
            except OSError as error:
                last = error
        if found:
            return found
        raise last
        """,
    ),
    probe(
        "ptrace and the memory of neighbours",
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        found = []
        for pid in (VICTIM, os.getppid(), 1, 2):
            if libc.ptrace(16, pid, 0, 0) == 0:
                found.append(f"ptrace {pid}")
            buffer = ctypes.create_string_buffer(16)
            vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 16)
            if libc.syscall(310, pid, vector, 1, vector, 1, 0) > 0:
                found.append(f"memory of {pid}")
            if os.path.exists(f"/proc/{pid}/mem"):
                found.append(f"/proc/{pid}/mem")
        return found
        """,
    ),
    probe(
        "exec of a shell",
        """
        import os, subprocess
        found = []
        for shell in ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/env"):
            for start in (lambda: subprocess.run([shell, "-c", "true"]), lambda: os.execv(shell, [shell])):
                try:
                    start()
                    found.append(shell)
                except BaseException as error:
                    last = error
        if os.system("true") == 0:
            found.append("os.system")
        if found:
            return found
        raise last
        """,
    ),
    probe(
        "another user, more rights, higher limits",
        """
        import ctypes, os, resource
        libc = ctypes.CDLL(None, use_errno=True)
        found = [] if os.getuid() else ["it is root"]
        for name, act in {
            "setuid": lambda: os.setuid(0),
            "setgid": lambda: os.setgid(0),
            "limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1)),
            "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
            "affinity": lambda: os.sched_setaffinity(0, {0}),
        }.items():
            try:
                act()
                found.append(name)
            except (OSError, ValueError) as error:
                last = error
        for name, number in {"unshare": 272, "mount": 165, "bpf": 321, "io_uring": 425,
                             "userfaultfd": 323, "keyctl": 250, "add_key": 248, "chroot": 161}.items():
            if libc.syscall(number, 0, 0, 0, 0, 0) >= 0:
                found.append(name)
        if found:
            return found
        raise last
        """,
    ),
)
