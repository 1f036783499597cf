"""What can go wrong for a person, one class an exit status; the message is the one line they read."""

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(Exception):
    """A failure that a person can act on: its text is one clear line, shown without a traceback."""

    status = 1


class InputError(UserError):
    """The input cannot be used; the message names the file and the cause."""

    status = 3


class BundleError(UserError):
    """The bundle cannot be used; the message names the folder or file and the cause."""

    status = 4


class ResourceError(UserError):
    """Memory or disk ran out, or there is no such device; the message says which, and what to do."""

    status = 5


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk, the quota or the file system's longest file is used up."""
    return error.errno in _FULL
