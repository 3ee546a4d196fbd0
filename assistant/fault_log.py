"""What the app's log keeps of an error: its kind, and where in the code it came from.

Never its words: they may quote what somebody wrote or what stands in a row, and no patient's text is to be in a log.
Whoever sees the page is told the words.
"""

from __future__ import annotations

import logging
import traceback

from trainer.errors import UserError


def write(what: str, error: BaseException) -> None:
    """Log that `what` did not come about; where our own sentence says why, the kind is enough."""
    kinds, cause = [type(error).__name__], error.__cause__ or error.__context__
    while cause is not None and len(kinds) < 5:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    where = "" if isinstance(error, UserError) else "\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip()
    logging.getLogger(__name__).warning("%s: %s%s", what, " from ".join(kinds), where)
