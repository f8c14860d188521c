"""Attacks that want to know or to leave something: files, the answers, what others left in memory."""

from scratchae.course.selftest.attack import probe

PROBES = (
    probe(
        "disk fill",
        """
        import os
        found = []
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/dev", "/", ".", "/home", "/root", LOOT):
            try:
                with open(f"{folder}/fill", "wb") as file:
                    file.write(b"x" * 100)
                found.append(folder)
            except OSError as error:
                last = error
        try:
            os.write(os.memfd_create("fill"), b"x" * 10_000_000)
            found.append("memfd")
        except OSError:
            pass
        if found:
            return found
        raise last
        """,
    ),
    probe(
        "writing results.json",
        """
        found = []
        for folder in (".", "..", "/autograder/results", LOOT):
            path = folder + "/results.json"
            try:
                with open(path, "w") as file:
                    file.write('{"score": 100}')
                found.append(path)
            except OSError as error:
                last = error
        if found:
            return found
        raise last
        """,
    ),
    probe(
        "deleting other students' files",
        """
        import os, shutil
        shutil.rmtree(LOOT, ignore_errors=True)
        os.remove(LOOT + "/other.py")
        return "removed"
        """,
    ),
    probe("reading other students' files", "return open(LOOT + '/other.py').read()"),
    probe("reading the course's secret", "return open(SECRET).read()"),
    probe(
        "reading hidden cases and answers from disk",
        """
        import os, sys
        found = []
        for top, folders, files in os.walk("/"):
            if "catalogue" in folders or "exercises.py" in files or "journal.jsonl" in files:
                found.append(top)
            if "scratchae" in top:
                for name in files:
                    if name == "activations.py":
                        text = open(os.path.join(top, name)).read()
                        if "your turn: relu_forward" not in text:
                            found.append(os.path.join(top, name))
        return found
        """,
    ),
    probe(
        "importing the answer",
        """
        found = []
        for line in (
            "from scratchae.layers import relu_forward as f; f(x)",
            "from scratchae.layers import ReLU; ReLU()(x)",
            "import scratchae.checking",
            "import scratchae.course",
        ):
            try:
                exec(line, {"x": x})
                found.append(line)
            except BaseException as error:
                last = error
        if found:
            return found
        raise last
        """,
    ),
    probe(
        "frames and gc for expected values",
        """
        import gc, sys
        wanted, found, frame = x.clamp(min=0), [], sys._getframe()
        places = [value for value in gc.get_objects() if type(value) in (list, dict, tuple)]
        while frame is not None:
            places.append(dict(frame.f_locals))
            frame = frame.f_back
        for place in places:
            for value in list(place.values() if type(place) is dict else place):
                if type(value) is torch.Tensor and value is not wanted and value.shape == wanted.shape:
                    if torch.equal(value, wanted) and not torch.equal(value, x):
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
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        found = []
        for number, name in ((29, "shared memory"), (64, "semaphore"), (68, "message queue"), (240, "mq")):
            if libc.syscall(number, 0x5CAE, 4096, 0o1600) >= 0:
                found.append(name)
        for top, folders, files in os.walk("/"):
            if os.access(top, os.W_OK):
                try:
                    os.mkdir(os.path.join(top, "marker"))
                    found.append(top)
                except OSError:
                    pass
        return found
        """,
    ),
    probe(
        "residue of the previous student",
        """
        import ctypes, gc, sys
        first, second = b"# SOURCE-OF-THE-", b"PREVIOUS-STUDENT"  # never side by side in this source
        control = bytes(reversed(b"LORTNOC-EHT #"))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sbrk.restype = ctypes.c_void_p
        found, controlled = [], False
        for middle in (libc.sbrk(ctypes.c_ssize_t(0)), id(control), id(sys), id(torch)):
            for page in range(middle - (16 << 20) & ~4095, middle + (16 << 20), 4096):
                libc.syscall(14, 99, ctypes.c_void_p(page), None, 8)  # copies from there, or EFAULT
                if ctypes.get_errno() != 14:
                    text = ctypes.string_at(page, 4096)
                    controlled = controlled or control in text
                    at = text.find(first) + len(first)
                    if at >= len(first) and text[at : at + len(second)] == second:
                        found.append(hex(page))
        return found if controlled else "nothing, but it did not find its own bytes either"
        """,
    ),
)
