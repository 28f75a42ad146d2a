"""Reading a file that others may have made: a plain one, no larger than was said, and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from stat import S_ISREG

from kindred.errors import ModelMismatch


def refusal(path: Path, reason: str) -> ModelMismatch:
    """The sentence in which a checkpoint, or a file of it, is refused."""
    return ModelMismatch(
        f"{path} {reason}: copy the checkpoint again, or train a new one with `kindred train`."
    )


def read(path: Path, *, limit_bytes: int) -> bytes:
    """All of it, after its kind and size were looked at. Raises ModelMismatch.

    Refused are links (they lead elsewhere), pipes and devices (they may never end), and what is larger.
    """
    descriptor = _opened(path)
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise refusal(path, "is no plain file")
        if status.st_size > limit_bytes:
            raise refusal(path, f"has {status.st_size} bytes, {limit_bytes} are allowed")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(limit_bytes)
    except OSError as error:
        raise refusal(path, f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        # O_NONBLOCK: a pipe without a writer would be waited on for ever.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise refusal(path, "is a link; a checkpoint holds plain files only") from error
        raise refusal(path, f"cannot be read ({error.strerror})") from error
