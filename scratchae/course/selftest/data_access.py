"""Attacks that try to read data or leave it behind: files, the reference, the memory of others."""

from scratchae.course.selftest.attack import probe

DATA_ACCESS = (
    probe(
        "disk fill",
        """
        import os

        def fill(folder):
            with open(f"{folder}/fill", "wb") as file:
                file.write(b"x" * 100)

        def fill_memory():
            os.write(os.memfd_create("fill"), b"x" * 10_000_000)

        folders = ("/tmp", "/var/tmp", "/dev/shm", "/dev", "/", ".", "/home", "/root", FOLDER)
        attempts = {folder: lambda f=folder: fill(f) for folder in folders}
        return successes({"memfd": fill_memory} | attempts)
        """,
    ),
    probe(
        "writing results.json",
        """
        def write(folder):
            with open(folder + "/results.json", "w") as file:
                file.write('{"score": 100}')

        folders = (".", "..", "/autograder/results", FOLDER)
        return successes({folder: lambda f=folder: write(f) for folder in folders})
        """,
    ),
    probe(
        "deleting other students' files",
        """
        import os, shutil
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.remove(FOLDER + "/other.py")
        return "removed"
        """,
    ),
    probe("reading other students' files", "return open(FOLDER + '/other.py').read()"),
    probe("reading the course's secret", "return open(SECRET).read()"),
    probe(
        "reading hidden cases and answers from disk",
        """
        import os
        found = []
        for top, folders, files in os.walk("/"):
            if "catalogue" in folders or "exercises.py" in files or "journal.jsonl" in files:
                found.append(top)
            if "scratchae" in top and "activations.py" in files:
                text = open(os.path.join(top, "activations.py")).read()
                if "your turn: relu_forward" not in text:
                    found.append(os.path.join(top, "activations.py"))
        return found
        """,
    ),
    probe(
        "importing the answer",
        """
        lines = (
            "from scratchae.layers import relu_forward as f; f(x)",
            "from scratchae.layers import ReLU; ReLU()(x)",
            "import scratchae.checking",
            "import scratchae.course",
        )
        return successes({line: lambda line=line: exec(line, {"x": x}) for line in lines})
        """,
    ),
    probe(
        "frames and gc for expected values",
        """
        import gc, sys
        expected, found, frame = x.clamp(min=0), [], sys._getframe()
        places = [value for value in gc.get_objects() if type(value) in (list, dict, tuple)]
        while frame is not None:
            places.append(dict(frame.f_locals))
            frame = frame.f_back
        for place in places:
            for value in list(place.values() if type(place) is dict else place):
                tensor = type(value) is torch.Tensor and value is not expected
                if tensor and value.shape == expected.shape:
                    if torch.equal(value, expected) and not torch.equal(value, x):
                        found.append("an expected value")
        return found
        """,
    ),
    probe(
        "reading the environment",
        """
        import os
        known = {"PWD", "LC_CTYPE", "OMP_NUM_THREADS", "PATH", "SHLVL", "_"}
        found = sorted(set(os.environ) - known)
        try:
            found.append(open("/proc/self/environ").read())
        except OSError:
            pass
        return found
        """,
    ),
    probe(
        "markers left for the next run",
        """
        import os
        calls = {"shared memory": 29, "semaphore": 64, "message queue": 68, "mq": 240}
        attempts = {n: lambda c=c: system_call(c, 0x5CAE, 4096, 0o1600) for n, c in calls.items()}
        for top, folders, files in os.walk("/"):
            if os.access(top, os.W_OK):
                attempts[top] = lambda top=top: os.mkdir(os.path.join(top, "marker"))
        return successes(attempts)
        """,
    ),
    probe(
        "residue of the previous student",
        """
        import gc, sys
        first, second = b"# SOURCE-OF-THE-", b"PREVIOUS-STUDENT"  # in two parts, so that this source lacks it
        control = bytes(reversed(b"LORTNOC-EHT #"))  # must be found, or the search does not work
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sbrk.restype = ctypes.c_void_p
        found, control_found = [], False
        for middle in (libc.sbrk(ctypes.c_ssize_t(0)), id(control), id(sys), id(torch)):
            for page in range(middle - (16 << 20) & ~4095, middle + (16 << 20), 4096):
                libc.syscall(14, 99, ctypes.c_void_p(page), None, 8)  # reads there, or fails with EFAULT
                if ctypes.get_errno() != 14:
                    text = ctypes.string_at(page, 4096)
                    control_found = control_found or control in text
                    at = text.find(first) + len(first)
                    if at >= len(first) and text[at : at + len(second)] == second:
                        found.append(hex(page))
        return found if control_found else "the search does not work: it did not find its own bytes"
        """,
    ),
)
