"""Which answer stands on the left: the same for a reviewer however often the page is drawn, and not to be guessed."""

from __future__ import annotations

import hashlib
import hmac

from trainer.data.gather import secret


def swapped(comparison_id: str, reviewer: str) -> bool:
    """Whether this reviewer sees the second answer on the left.

    A keyed hash (HMAC-SHA256) of comparison and reviewer, with the secret that never leaves this home: it needs no
    place in the page or the database, and without the secret nobody can work it out.
    """
    message = f"side\0{comparison_id}\0{reviewer}".encode()
    return bool(hmac.new(secret(), message, hashlib.sha256).digest()[0] & 1)
