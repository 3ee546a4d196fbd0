"""Ways of choosing what is trained; one file each."""


class MethodError(Exception):
    """The method does not fit the model, its rows or what it starts from; the text names the field and the way out."""
