"""How much one person may ask of the pages in a while; without a sign-in nothing is counted, since it is their machine.

Kept in memory: a new start of the app counts anew.
"""

from __future__ import annotations

import time

REQUESTS_A_MINUTE = 1200
"""Of a person who is signed in: more than hands can do on several open pages, and less than a script."""
STRANGERS_REQUESTS_A_MINUTE = 60
"""Of an address from which nobody is signed in: enough for a ward that signs in behind one address."""
WRONG_OF_A_NAME, WRONG_OF_AN_ADDRESS, WRONG_SECONDS = 5, 30, 900
"""Wrong passwords from one address within a quarter of an hour, for one name and for all, after which no further one is
looked at. Not for a name from everywhere: else anybody could keep somebody out."""
CHECKS_AT_ONCE = 2
"""Of passwords: each takes 32 MiB and a core."""
WAITING = 40
"""Events of one person that wait or run at once. A page that is opened asks for about ten."""
UPLOADS_A_DAY, UPLOAD_MB_A_DAY = 100, 4000
BODY_MB = 16
"""Of a request that is no upload: a long run file or correction is far below."""


class Counter:
    """What each key has used in the present span of time; with the next one, all begin anew."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._span = 0
        self._used: dict[str, float] = {}

    def add(self, key: str, amount: float = 1) -> float:
        """Count this, and return what this key has used."""
        used = self.used(key) + amount
        self._used[key] = used
        return used

    def used(self, key: str) -> float:
        """What this key has used so far."""
        span = int(time.monotonic() // self.seconds)
        if span != self._span:
            self._span, self._used = span, {}
        return self._used.get(key, 0)

    def wait(self) -> int:
        """Seconds until all begin anew."""
        return int(self.seconds - time.monotonic() % self.seconds) + 1
