"""Passwords in what is said of storages: their URLs hold them, and errors and log lines repeat URLs."""

from __future__ import annotations

import re
from urllib.parse import quote

# Where the password of a URL begins, and those among its options. No part of them can be read in two ways.
_WORD = re.compile(r"\S+")
_BEFORE_PASSWORD = re.compile(r"://[^:/@\s]*+:")
_PASSWORD_OPTION = re.compile(r"([?&][^=\s&?]*password=)[^&\s]+", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text with the passwords of storage URLs in it replaced by `***`, in time that grows with its length."""
    if "://" in text:
        text = _WORD.sub(_masked_word, text)
    return _PASSWORD_OPTION.sub(r"\1***", text)


def _masked_word(word: re.Match[str]) -> str:
    """Mask what stands between a URL's first colon and its last @: a password may hold an @ itself."""
    url = word[0]
    before, end = _BEFORE_PASSWORD.search(url), url.rfind("@")
    return url if before is None or end < before.end() else f"{url[: before.end()]}***{url[end:]}"


def has_password(url: str) -> bool:
    """Tell whether a storage URL holds a password."""
    return masked(url) != url


def one_word(url: str) -> str:
    """Return a URL with the spaces of its user and password written as %20, so that it can be told from other words."""
    begin, end = url.find("://") + 3, url.rfind("@")
    if end < begin:
        return url
    return url[:begin] + re.sub(r"\s", lambda space: quote(space[0]), url[begin:end]) + url[end:]


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without passwords."""
    return next(iter(masked(str(error)).strip().splitlines()), type(error).__name__)
