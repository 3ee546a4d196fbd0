"""The release dossier of a model (lecture L3.16, L3.20): what is known of it, from its own files, and what is missing.

`evidence` gathers, the other files each write a part of it, `dossier` puts them together as Markdown, HTML and PDF.
Nothing is invented: a part whose evidence is missing says so, and how to get it. No text of the data or of an answer
is in it.
"""

from trainer.errors import UserError


class DossierError(UserError):
    """A dossier cannot be made, read or signed as asked; the text says why and what to do."""
