"""When the disk refuses: what it means in one sentence with its remedy.

Belongs here: telling a full, read-only or failing disk from every other error, whichever library met it. Does not: writing anything.
"""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

#: What an operator does about it, by the system's number for it.
_REMEDIES = {
    errno.ENOSPC: "the disk is full: free space for {home}, or keep fewer releases (ROLLIN_KEEP_RELEASES)",
    errno.EDQUOT: "the quota is used up: raise it, or keep fewer releases (ROLLIN_KEEP_RELEASES)",
    errno.EFBIG: "a file would exceed the limit of this process: raise it (ulimit -f; LimitFSIZE under systemd)",
    errno.EROFS: "the disk is mounted read-only: look for the cause in the system's log and mount {home} writable again",
    errno.EACCES: "rights are missing: let the user that runs Rollin own {home} and everything in it",
    errno.EPERM: "rights are missing: let the user that runs Rollin own {home} and everything in it",
    errno.EIO: "the disk fails: check it, and restore {home} from the back-up where files are damaged",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n; LimitNOFILE under systemd)",
    errno.ENFILE: "too many files are open on this machine: raise the limit (fs.file-max)",
}

_LEAST_FREE_BYTES = 32 << 20

#: How libraries that raise errors of their own name these.
_SAID = {
    errno.ENOSPC: re.compile(
        r"no space left|disk is full|disk full|database or disk is full|could not write file.*not enough", re.IGNORECASE
    ),
    errno.EDQUOT: re.compile(r"quota exceeded", re.IGNORECASE),
    errno.EFBIG: re.compile(r"file too large", re.IGNORECASE),
    errno.EROFS: re.compile(r"read-only file ?system|attempt to write a readonly database", re.IGNORECASE),
    errno.EIO: re.compile(r"input/output error|disk i/o error", re.IGNORECASE),
    errno.EMFILE: re.compile(r"too many open files", re.IGNORECASE),
}


def refusal(error: BaseException, home: Path) -> str | None:
    """One sentence where ``error``, or one that it was raised from, is the disk's refusal; None where it is anything else."""
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) else None
        if number not in _REMEDIES:
            number = next((known for known, said in _SAID.items() if said.search(str(seen))), None)
        if number == errno.EIO and _is_full(home):
            number = errno.ENOSPC
        if number is not None:
            return (
                f"{home} could not be written, {_REMEDIES[number].format(home=home)}. "
                "What is published is untouched; then run the refresh again."
            )
        seen = seen.__cause__ or seen.__context__
    return None


def _is_full(home: Path) -> bool:
    """Whether there is no room for a night: SQLite calls it an I/O error that it cannot let the index of its journal grow."""
    try:
        return shutil.disk_usage(home).free < _LEAST_FREE_BYTES
    except OSError:
        return False
