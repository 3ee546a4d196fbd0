"""What every error has in common that its reader can do something about; and a disk that takes no more, in words."""

from __future__ import annotations

import errno

DISK_FULL = "The disk is full: nothing could be saved. Free some space and try again."
READ_ONLY = (
    "{place} can only be read: nothing could be saved. Make it writable, or point BEDSIDE_HOME to a folder that is."
)
_FULL = ("No space left", "os error 28", "database or disk is full")
_NOT_WRITABLE = ("Read-only file system", "os error 30", "attempt to write a readonly database")


class UserError(Exception):
    """Something cannot be done as asked; the text names the place, says what was found, and what to do.

    Pages show it as a sentence, and so does the command line, which then ends with status 2.
    """


class ModelError(UserError):
    """A base model cannot be had; the text says where it was looked for and what to do."""


def of_the_disk(error: BaseException) -> str:
    """What to say and do where a disk is full or can only be read; empty for any other error.

    Libraries written in other languages pass the system's words on, and not its number.
    """
    number, text = getattr(error, "errno", None), str(error)
    if number in (errno.ENOSPC, errno.EDQUOT) or any(words in text for words in _FULL):
        return DISK_FULL
    if number == errno.EROFS or any(words in text for words in _NOT_WRITABLE):
        return READ_ONLY.format(place=getattr(error, "filename", None) or "Where Bedside keeps its files")
    return ""
