"""From files to rows that the trainer sees: sources, formats, templates, splits and mixing."""
