"""How a record of a file is written, and the row that it becomes."""

from trainer.data.formats.about import about_reader
from trainer.data.formats.detection import Detection, about_columns, converter, detect, to_row
from trainer.data.formats.graded_answers import pairs_from_graded

__all__ = ["Detection", "about_columns", "about_reader", "converter", "detect", "pairs_from_graded", "to_row"]
