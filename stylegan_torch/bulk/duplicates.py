"""Near-duplicates across shards, by perceptual hashes: found when all are there, and drawn anew in their places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from stylegan_torch.bulk.filters import HASH_BITS
from stylegan_torch.bulk.finishing import rows
from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.shards import Excluded
from stylegan_torch.bulk.stores import Store


def newly_excluded(store: Store, plan: Plan, excluded: Excluded) -> Excluded:
    """Return the attempts not to take, with those that a whole set shows to be too like earlier pictures.

    Of two pictures whose hashes differ in no more bits than the filter "distinct" allows, the later goes.
    """
    bits = next((int(each.value) for each in plan.filters if each.kind == "distinct"), None)
    if bits is None:
        return excluded
    seen = [
        (row["index"], row["attempt"], int(row["phash"], 16))
        for shard in range(plan.shards)
        for row in rows(store, plan, shard, ["index", "attempt", "phash"])
    ]
    later = repeated([value for _, _, value in seen], bits)
    found = {index: tuple(some) for index, some in excluded.items()}
    for place in later:
        index, attempt, _ = seen[place]
        found[index] = (*found.get(index, ()), attempt)
    return found


def repeated(hashes: Sequence[int], bits: int) -> list[int]:
    """Return the places of 64-bit hashes that differ in at most so many bits from one before that is no repeat itself.

    Two that differ in n bits agree in one of n + 1 parts: only those that do are compared.
    """
    edges = [HASH_BITS * i // (bits + 1) for i in range(bits + 2)]
    parts = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
    seen: list[dict[int, list[int]]] = [defaultdict(list) for _ in parts]
    found = []
    for place, value in enumerate(hashes):
        keys = [(value >> low) & mask for low, mask in parts]
        others = (other for known, key in zip(seen, keys, strict=True) for other in known[key])
        if any((value ^ other).bit_count() <= bits for other in others):
            found.append(place)
            continue
        for known, key in zip(seen, keys, strict=True):
            known[key].append(value)
    return found
