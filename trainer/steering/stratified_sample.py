"""A fixed sample that holds every stratum in about its share."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence


def stratified_sample(strata: Sequence[Hashable], size: int, seed: int | str) -> list[int]:
    """Indices of `size` of the items (all where there are no more), in order; `strata` has a stratum for each item.

    The same seed gives the same sample. Every stratum is in it while there are no more strata than `size`, so that a
    small one has somewhat more than its share.
    """
    draw = random.Random(seed)
    order = list(range(len(strata)))
    draw.shuffle(order)
    members: dict[Hashable, list[int]] = {}
    for index in order:
        members.setdefault(strata[index], []).append(index)
    # The k-th of a stratum of m comes at k / m: strata are used up at the same pace, each beginning at once.
    place = {index: (k / len(one), k) for one in members.values() for k, index in enumerate(one)}
    return sorted(sorted(order, key=place.__getitem__)[:size])
