"""What every error has in common that its reader can do something about."""


class UserError(Exception):
    """Something cannot be done as asked; the text names the place, says what was found, and what to do.

    Pages show it as a sentence, and so does the command line, which then ends with status 2.
    """


class ModelError(UserError):
    """A base model cannot be had; the text says where it was looked for and what to do."""
