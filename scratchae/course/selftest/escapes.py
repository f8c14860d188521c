"""Attacks that try to leave their process: to other processes, the network or more rights."""

from scratchae.course.selftest.attack import probe

ESCAPES = (
    probe("fork bomb", "import os\nreturn os.fork() or os._exit(0)"),
    probe(
        "fork by the system calls themselves",
        """
        numbers = {"clone": 56, "fork": 57, "vfork": 58, "clone3": 435}
        return successes({
            name: lambda n=number: system_call(n, 17, 0, 0, 0, 0) for name, number in numbers.items()
        })
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
        return successes({
            "spawn": lambda: os.posix_spawn("/usr/bin/sleep", ["sleep", "1000"], {}),
            "Popen": lambda: subprocess.Popen(["/usr/bin/sleep", "1000"], start_new_session=True),
            "setsid": os.setsid,
        })
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
        families = (socket.AF_UNIX, socket.AF_INET6, 16, 17, 40)  # the last: netlink, packet, vsock
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
        return successes({
            (int(f), int(k)): lambda f=f, k=k: socket.socket(f, k) for f in families for k in kinds
        })
        """,
    ),
    probe(
        "kill of neighbours",
        """
        import os, signal
        return successes({
            pid: lambda pid=pid: os.kill(pid, signal.SIGKILL)
            for pid in (VICTIM, os.getppid(), 1, 2, -1)
        })
        """,
    ),
    probe(
        "ptrace and the memory of neighbours",
        """
        import os
        libc, found = ctypes.CDLL(None, use_errno=True), []
        for pid in (VICTIM, os.getppid(), 1, 2):
            if libc.ptrace(16, pid, 0, 0) == 0:  # PTRACE_ATTACH
                found.append(f"ptrace {pid}")
            buffer = ctypes.create_string_buffer(16)
            vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 16)
            if libc.syscall(310, pid, vector, 1, vector, 1, 0) > 0:  # process_vm_readv
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

        def system():
            if os.system("true") != 0:
                raise PermissionError("os.system failed")

        attempts = {"os.system": system}
        for shell in ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/env"):
            attempts[f"run {shell}"] = lambda s=shell: subprocess.run([s, "-c", "true"])
            attempts[f"exec {shell}"] = lambda s=shell: os.execv(s, [s])
        return successes(attempts)
        """,
    ),
    probe(
        "another user, more rights, higher limits",
        """
        import os, resource

        def be_root():
            if os.getuid() != 0:
                raise PermissionError("it is not root")

        calls = {"unshare": 272, "mount": 165, "bpf": 321, "io_uring": 425, "userfaultfd": 323,
                 "keyctl": 250, "add_key": 248, "chroot": 161}
        return successes({
            "root": be_root,
            "setuid": lambda: os.setuid(0),
            "setgid": lambda: os.setgid(0),
            "limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1)),
            "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
            "affinity": lambda: os.sched_setaffinity(0, {0}),
            **{name: lambda n=n: system_call(n, 0, 0, 0, 0, 0) for name, n in calls.items()},
        })
        """,
    ),
)
