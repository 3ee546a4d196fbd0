"""What leaves Bedside: merged models, GGUF files, adapters alone; checked before they are put in place."""

from trainer.errors import UserError


class ExportError(UserError):
    """A model cannot be exported as asked; the text names the place, says what was found, and what to do."""
