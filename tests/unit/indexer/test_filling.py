"""Vectors of a model that is not asked for any more: kept while somebody may go back to it, then deleted."""

import asyncio
from pathlib import Path
from typing import Any

from services.indexer.filling import KEEP_OTHERS_S, TIDY_EVERY_S, Filler
from services.indexer.index import Index
from services.indexer.tables import vectors
from tests.unit.indexer.test_index import count, embed, entry, vector


class Model:
    batch = 2

    def __init__(self, space: str) -> None:
        self.space = space

    async def embed(self, tenant: str, texts: Any, *, urgent: bool) -> Any:
        return [vector(text) for text in texts]


async def yes() -> bool:
    return True


def test_the_vectors_of_before_stay_for_an_hour_after_all_are_made_anew(tmp_path: Path) -> None:
    index = Index(f"sqlite:///{tmp_path / 'index.db'}")
    asyncio.run(_an_hour_passes(index))
    index.close()


async def _an_hour_passes(index: Index) -> None:
    now, model = [0.0], Model("new/4")
    index.create()
    index.write([entry(f"d{number}", f"kettle {number}") for number in range(4)])
    embed(index, "old/4")
    filler = Filler(index, model, yes, lambda: now[0])
    while await filler.fill():
        now[0] += KEEP_OTHERS_S
    assert not await filler.tidy() and count(index, vectors) == 8
    now[0] += KEEP_OTHERS_S - 1
    assert not await filler.tidy() and count(index, vectors) == 8
    now[0] += 1
    assert await filler.tidy() and not await filler.tidy() and count(index, vectors) == 4
    model.space = "newest/4"
    while await filler.fill():
        now[0] += TIDY_EVERY_S
    assert not await filler.tidy() and count(index, vectors) == 8
