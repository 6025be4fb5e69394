"""Several rankings of the same things become one."""

from collections.abc import Mapping, Sequence

RANK_CONSTANT = 60
"""Of reciprocal rank fusion, as in Cormack, Clarke and Büttcher (2009): how little the first place is worth more than the second."""


def fused(rankings: Mapping[str, Sequence[int]]) -> dict[int, float]:
    """Each thing's score, the best first: the sum of 1 / (60 + its rank) over the rankings that know it."""
    scores: dict[int, float] = {}
    for ranking in rankings.values():
        for rank, thing in enumerate(ranking, start=1):
            scores[thing] = scores.get(thing, 0.0) + 1 / (RANK_CONSTANT + rank)
    return dict(sorted(scores.items(), key=lambda scored: (-scored[1], scored[0])))
