"""Passwords: kept as scrypt hashes, compared in constant time, and made where nobody wants to think of one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets

_LOG2_N, _BLOCK, _LANES = 15, 8, 3
"""Cost of a new hash: 32 MiB, and some 0.2 s of one core (OWASP's Password Storage Cheat Sheet, scrypt)."""
SHORTEST, LONGEST = 12, 200
"""Characters (NIST SP 800-63B asks for length, and against rules on kinds of characters)."""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is easily read as another


def hashed(password: str) -> str:
    """A salted hash, with what it costs beside it, so that a later Bedside can raise that."""
    salt = os.urandom(16)
    found = _scrypt(password, salt, _LOG2_N, _BLOCK, _LANES)
    return "$".join(["scrypt", str(_LOG2_N), str(_BLOCK), str(_LANES), _text(salt), _text(found)])


def fits(password: str, kept: str) -> bool:
    """Whether this is the password of that hash. Takes as long where `kept` is empty: no name is told from another."""
    nobody = ["scrypt", _LOG2_N, _BLOCK, _LANES, _text(bytes(16)), _text(bytes(32))]
    _, log2_n, block, lanes, salt, found = kept.split("$") if kept else map(str, nobody)
    tried = _scrypt(password, _bytes(salt), int(log2_n), int(block), int(lanes))
    return hmac.compare_digest(tried, _bytes(found)) and bool(kept)


def made() -> str:
    """A password of four groups of four letters and digits, 79 bits of chance."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def _scrypt(password: str, salt: bytes, log2_n: int, block: int, lanes: int) -> bytes:
    needed = 128 * 2**log2_n * block + 128 * block * lanes
    return hashlib.scrypt(
        password.encode(), salt=salt, n=2**log2_n, r=block, p=lanes, maxmem=2 * needed, dklen=32
    )  # fmt: skip


def _text(found: bytes) -> str:
    return base64.b64encode(found).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
