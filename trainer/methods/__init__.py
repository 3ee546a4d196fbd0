"""Ways of choosing what is trained; one file each."""

from trainer.errors import UserError


class MethodError(UserError):
    """The method does not fit the model, its rows or what it starts from; the text names the field and the way out."""
