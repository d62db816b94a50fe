"""Copy files so that they are whole or absent, whatever happens in between."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE = 0x40049409  # ioctl FICLONE, where the file system shares blocks
AT_ONCE = 16 << 20
OWNER_WRITES = 0o200


def clone(source: Path, target: Path) -> None:
    """Copy a file and flush it; where the file system can share blocks, that costs nothing."""
    with _naming(target), source.open("rb") as read, target.open("wb") as written:
        try:
            fcntl.ioctl(written.fileno(), CLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, written, AT_ONCE)
        written.flush()
        os.fsync(written.fileno())


def copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file under a temporary name, with its mode, and rename it; gives the size and the sha256 of what was read.

    The folder is not flushed yet: whoever copies many files does that once for all (`flush_folder`).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    size, digest = 0, hashlib.sha256()
    try:
        with _naming(target), source.open("rb") as read:
            temporary.touch(mode=source.stat().st_mode & 0o777 | OWNER_WRITES)  # never open to more than the source is
            with temporary.open("wb") as written:
                while block := read.read(AT_ONCE):
                    digest.update(block)
                    size += written.write(block)
                written.flush()
                os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return size, digest.hexdigest()


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Say which file an error is about: a full disk does not."""
    try:
        yield
    except OSError as exc:
        exc.filename = exc.filename or str(target)
        raise


def write_text(text: str, path: Path) -> None:
    """Put a small file in place of the one there is, and flush both it and its folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder: a rename lasts only then."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
