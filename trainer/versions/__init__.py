"""Versions of a line of models: numbers, what they can no longer do, tests of one against another, updates."""


class VersionError(Exception):
    """A version cannot be found, registered or put into use; the text says why and what to do."""
