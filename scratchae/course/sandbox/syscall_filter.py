"""The seccomp filter of a child: it allows the few system calls that tensor arithmetic needs.

Every other call fails with "Operation not permitted": no socket, no exec, no fork, no signal, no
ptrace, no file opened for writing. Threads are allowed, processes are not: `clone` only with
CLONE_THREAD. A filter cannot see the flags of `clone3`, so `clone3` fails as if the kernel did not have it.
"""

from __future__ import annotations

import errno
import os
import tempfile

from scratchae.errors import ScratchaeError

CALLS = """
    read pread64 readv write writev lseek close dup fstat newfstatat statx stat lstat access faccessat
    faccessat2 readlink readlinkat getdents64 getcwd fcntl poll ppoll select pselect6 epoll_wait
    mmap munmap mprotect mremap madvise brk mincore
    futex set_robust_list rseq set_tid_address sched_yield sched_getaffinity getcpu membarrier
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack exit exit_group
    getpid gettid getppid getuid geteuid getgid getegid getrandom uname sysinfo arch_prctl
    getrlimit riscv_hwprobe
"""
CLONE_THREAD, PR_SET_NAME, TCGETS = 0x10000, 15, 0x5401


def compile_filter() -> bytes:
    """Return the filter as a program for the kernel (BPF).

    Raises ScratchaeError if pyseccomp or libseccomp2 is missing.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise ScratchaeError(
            "the sandbox needs pyseccomp and libseccomp2: pip install 'scratchae[course]' and "
            "apt-get install libseccomp2"
        ) from error
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))

    def allow(name: str, *arguments: object) -> None:
        # if an architecture does not have a call, it needs no rule for it
        if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:
            rules.add_rule(seccomp.ALLOW, name, *arguments)

    for name in CALLS.split():
        allow(name)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    allow("openat", seccomp.Arg(2, seccomp.MASKED_EQ, writing, 0))
    allow("clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, CLONE_THREAD))
    allow("ioctl", seccomp.Arg(1, seccomp.EQ, TCGETS))
    allow("prctl", seccomp.Arg(0, seccomp.EQ, PR_SET_NAME))
    # a new thread asks for its limits; setting them is not allowed
    allow("prlimit64", seccomp.Arg(0, seccomp.EQ, 0), seccomp.Arg(2, seccomp.EQ, 0))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
