"""Numbers in a text, in figures or words, with their units: "twice", "forty-nine years", "0.5 mg", "nineteen sixty-one"."""

from __future__ import annotations

import re
from typing import NamedTuple

_UNITS_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
