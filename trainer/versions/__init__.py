"""Versions of a line of models: numbers, what they can no longer do, tests of one against another, updates."""

from trainer.errors import UserError


class VersionError(UserError):
    """A version cannot be found, registered or put into use; the text says why and what to do."""
