"""Which rows say the same thing in the same words: exact copies and near-duplicates, found without comparing all pairs.

Two rows are near-duplicates where the Jaccard similarity of their word 3-shingles is at least `ALIKE` (Lee et al. 2022,
"Deduplicating training data makes language models better", take the same measure and 0.8) and their numbers and
negations agree as well as their words. "Sodium 129 mmol/L …" and "Sodium 131 mmol/L …" are the same words and another
item with another answer; were they one group, a whole generated task would be one group and could not be split. So
two items of one template may stand on two sides of a split; the leakage report counts them.

What is decided: of a text's numbers and negations a share of `ALIKE` has to be the same, so that one number of many
changed in a long vignette is still the same vignette. Where more than `NEIGHBOURS` rows look alike to a band it is a
template, and there all of them have to agree.

Similarity is estimated by MinHash (Broder 1997) and candidates come from banding (Leskovec, Rajaraman and Ullman,
"Mining of massive datasets", chapter 3): 21 bands of 6 slots find a pair of similarity 0.8 with a probability of
1 - (1 - 0.8^6)^21 = 99.8 %, one of 0.9 with more than 99.9999 %. An estimate of 0.8 from 128 slots has a standard error
of at most 0.035, so a candidate is taken from `VERIFIED` on: pairs of 0.8 and more are kept, and some of 0.7 with them.

What words have in common is all that is seen: a paraphrase is not found, and rows that share a long text of a template
look alike. Give texts as they were before a template was put around them.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ALIKE = 0.8
VERIFIED = 0.72
"""Least share of equal slots: 0.8 less two to three standard errors."""
SLOTS, BANDS, ROWS = 128, 21, 6
NEIGHBOURS = 16
SEED = 20260
"""Of the hash functions; not the run's seed, so that a data set has the same groups in every run."""

# A number, a letter of a script that is written without spaces (Chinese, Japanese, Thai), or a word.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"\d+(?:[.,]\d+)*|[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W\d_])+(?:'[^\W\d_]+)*")
_ENGLISH = {
    "no",
    "not",
    "never",
    "none",
    "nor",
    "neither",
    "without",
    "cannot",
    "denies",
    "denied",
    "negative",
    "absent",
}
_SPANISH = {"no", "sin", "ni", "nunca", "ningún", "ninguna", "ninguno", "niega", "negativo", "negativa", "ausente"}
_CHINESE = {"不", "无", "無", "没", "沒", "否", "未", "非"}
_NEGATIONS = _ENGLISH | _SPANISH | _CHINESE


def words(text: str) -> list[str]:
    """A text's words in order, in lower case and without punctuation: "5mg/dL" gives 5, mg and dl.

    In Chinese, Japanese and Thai, which are written without spaces, each character counts as a word.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))


def shingles(text: str, spoken: Sequence[str]) -> set[str]:
    """The 3-shingles of `spoken`, the words of `text`; fewer than three words are only equal to the same words.

    A text without any word (a row of signs) counts as itself.
    """
    if len(spoken) < 3:
        return {" ".join(spoken) or text.strip()}
    return set(map(" ".join, zip(spoken, spoken[1:], spoken[2:], strict=False)))


def decisive(spoken: Iterable[str]) -> Counter[str]:
    """The numbers and negations among words, and how often each occurs: they make another item of a sentence."""
    return Counter(
        word for word in spoken if word[0].isdigit() or word in _NEGATIONS or (word[-1] == "t" and word.endswith("n't"))
    )


class Signatures:
    """What is kept of each row to find its near-duplicates: about 300 bytes, whatever its length."""

    def __init__(self) -> None:
        self._slots = bytearray()  # 16 of each slot's 32 bits: unrelated rows agree in a slot once in 65,536
        self._decisive = array("I")  # the decisive words of all rows, hashed, and where each row's end
        self._ends = array("Q")
        self._decisive_hash = array("I")

    def __len__(self) -> int:
        return len(self._decisive_hash)

    def add(self, text: str) -> None:
        """Take the next row; `text` is what is compared, usually question and answer."""
        import numpy as np
        from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]  # compiled, without stubs

        spoken = words(text)
        sketch = RMinHash(SLOTS, SEED)
        sketch.update(shingles(text, spoken))
        self._slots += np.array(sketch.digest(), np.uint32).astype(np.uint16).tobytes()
        # The third "no" of a row is another thing than the first, so that sets of hashes compare as multisets.
        hashes = sorted(
            zlib.crc32(f"{word} {nth}".encode()) for word, count in decisive(spoken).items() for nth in range(count)
        )
        self._decisive.extend(hashes)
        self._ends.append(len(self._decisive))
        self._decisive_hash.append(zlib.crc32(array("I", hashes).tobytes()))

    def groups(self, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """The group of each row, in the order they were added: (rows,) of int64, numbered from 0 by first appearance.

        Near-duplicates of near-duplicates are in one group too. A row that is like no other has a group of its own.
        `progress` is told the bands done, and of how many.
        """
        import numpy as np

        labels = np.arange(len(self))
        slots = np.frombuffer(self._slots, np.uint16).reshape(-1, SLOTS)
        numbers = np.frombuffer(self._decisive_hash, np.uint32)
        for band in range(BANDS):
            key = _band(slots, band)
            # Within a band's bucket, rows with the same numbers stand together, and of those the likeliest pairs.
            order = np.lexsort((_band(slots, (band + 1) % BANDS), numbers, key))
            key, same_numbers = key[order], numbers[order]
            edges = np.flatnonzero(np.diff(key)) + 1
            sizes = np.diff(np.concatenate(([0], edges, [len(key)])))
            small = np.repeat(sizes <= NEIGHBOURS + 1, sizes)
            for step in range(1, NEIGHBOURS + 1):
                candidate = key[:-step] == key[step:]
                if not candidate.any():
                    break
                candidate &= small[:-step] | (same_numbers[:-step] == same_numbers[step:])
                left, right = order[:-step][candidate], order[step:][candidate]
                apart = labels[left] != labels[right]
                left, right = left[apart], right[apart]
                alike = self._alike(slots, numbers, left, right)
                join(labels, left[alike], right[alike])
            if progress:
                progress(band + 1, BANDS)
        return renumbered(labels)

    def _alike(self, slots: np.ndarray, numbers: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Which pairs of rows are near-duplicates, by their numbers (cheap, and most of a template fail) and words."""
        import numpy as np

        ends = np.frombuffer(self._ends, np.uint64).astype(np.int64)
        counts = np.diff(ends, prepend=0)
        fewer, more = np.minimum(counts[left], counts[right]), np.maximum(counts[left], counts[right])
        same_numbers = numbers[left] == numbers[right]
        # A share of ALIKE of fewer than five is all of them.
        alike = same_numbers | ((more >= 5) & (fewer >= ALIKE * more))
        possible = np.flatnonzero(alike)
        for start in range(0, len(possible), 50_000):
            part = possible[start : start + 50_000]
            alike[part] = (slots[left[part]] == slots[right[part]]).sum(1) >= VERIFIED * SLOTS
        for pair in np.flatnonzero(alike & ~same_numbers):
            mine, other = self._decisive_of(int(left[pair])), self._decisive_of(int(right[pair]))
            alike[pair] = len(mine & other) >= ALIKE * len(mine | other)
        return alike

    def _decisive_of(self, row: int) -> set[int]:
        return set(self._decisive[self._ends[row - 1] if row else 0 : self._ends[row]])


def join(labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Put the components of `left` and `right`, pairs of rows, together, in place.

    `labels[row]` is the smallest row of the row's component, before and after. Each round at least halves the number
    of components that are still to be joined.
    """
    import numpy as np

    while True:
        first, second = labels[left], labels[right]
        apart = first != second
        if not apart.any():
            return
        left, right, first, second = left[apart], right[apart], first[apart], second[apart]
        np.minimum.at(labels, np.maximum(first, second), np.minimum(first, second))
        while not np.array_equal(jumped := labels[labels], labels):
            labels[:] = jumped


def renumbered(labels: np.ndarray) -> np.ndarray:
    """The same partition with its parts numbered from 0 in the order in which they appear."""
    import numpy as np

    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _band(slots: np.ndarray, band: int) -> np.ndarray:
    """A band's slots as one 64-bit key a row (multiply and add, modulo 2^64)."""
    import numpy as np

    key = np.full(len(slots), band + 1, np.uint64)
    for slot in range(band * ROWS, (band + 1) * ROWS):
        key = (key ^ slots[:, slot]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
