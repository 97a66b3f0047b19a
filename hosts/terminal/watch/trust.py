"""What `impasto watch` trusts: not whoever puts files into the watched folder.

That may be another user, who would read the operator's files through a link in the folder, or write them through a
link, a lock or a record in the folder of results. So inputs behind links are left, and results go where nobody else may
write.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from impasto.core.errors import UsageError


def require_private(folder: str) -> None:
    """UsageError for a folder of results that is a link or another user's, or that others may write into or replace.

    For the latter the folders above it are looked at too. Windows has no such modes; there nothing is checked.
    """
    if os.name != "posix":
        return
    facts = os.lstat(folder)
    hint = "name a folder with --into that nobody else may write into"
    if not stat.S_ISDIR(facts.st_mode):
        raise UsageError(f"expected a folder for results at '{folder}', found a link or a file; {hint}")
    if facts.st_uid != os.geteuid():
        raise UsageError(
            f"expected the folder of results '{folder}' to belong to user {os.geteuid()}, it belongs to "
            f"{facts.st_uid}; {hint}"
        )
    above = os.path.realpath(os.path.dirname(os.path.abspath(folder)))
    if _others_write(facts):
        raise UsageError(
            f"expected that nobody else may write into '{folder}', found mode {facts.st_mode & 0o777:04o}; run "
            f"chmod go-w '{folder}', or {hint}"
        )
    while True:
        facts = os.stat(above)
        # In a sticky folder, such as /tmp, nobody renames what belongs to somebody else.
        foreign = facts.st_uid not in (0, os.geteuid())
        if foreign or (_others_write(facts) and not facts.st_mode & stat.S_ISVTX):
            raise UsageError(
                f"expected that nobody else may replace '{folder}', others may write into '{above}'; {hint}"
            )
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)


def opened_own(path: str, flags: int) -> int:
    """Open a file of the folder of results. UsageError for a link, for what is no file, and for another user's."""
    try:
        fd = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o644)
    except OSError:
        if os.path.islink(path):
            raise UsageError(f"expected a file at '{path}', found a link; remove it") from None
        raise
    facts = os.fstat(fd)
    if os.name == "posix" and not (stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()):
        os.close(fd)
        raise UsageError(f"expected a file of your own at '{path}', found another's, or no file; remove it")
    return fd


def linked(source: str, paths: Iterable[str]) -> str | None:
    """The first of these paths below a folder that is a link, or lies behind one; None where none is."""
    plain: set[str] = {""}
    for path in paths:
        parts = path.split(os.sep)
        for count in range(1, len(parts) + 1):
            part = os.sep.join(parts[:count])
            if part in plain:
                continue
            if os.path.islink(os.path.join(source, part)):
                return part
            plain.add(part)
    return None


def _others_write(facts: os.stat_result) -> bool:
    if facts.st_mode & stat.S_IWOTH:
        return True
    return bool(facts.st_mode & stat.S_IWGRP) and not _is_of_one_user(facts.st_gid, facts.st_uid)


def _is_of_one_user(group: int, user: int) -> bool:
    """Whether a group is the one that systems make for each user, with nobody else in it."""
    import grp
    import pwd

    try:
        known, owner = grp.getgrgid(group), pwd.getpwuid(user)
    except KeyError:
        return False
    return known.gr_name == owner.pw_name and not set(known.gr_mem) - {owner.pw_name}
