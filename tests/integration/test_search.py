"""Documents and results found by search, on a real server, each tenant's by itself."""

from pathlib import Path

from tests.support.searching import library


async def test_documents_and_results_are_found_by_words_and_by_meaning(tmp_path: Path) -> None:
    async with library(tmp_path) as lib:
        await lib.put("returns", "Goods may be returned within thirty days of purchase.", title="Returns")
        await lib.put("kettle", "To boil water fill the kettle and press the switch.")
        await lib.settle("job-1", "The capital of France is Paris.", provider="fake", model="small", metadata={"ticket": "T-1"})
        state = await lib.indexed()
        assert (state["documents"], state["results"]) == (2, 1)
        assert (await lib.ids("returned goods"))[0] == "returns"
        assert (await lib.ids("which city do French ministers work in", by="meaning"))[0] == "job-1"
        assert await lib.ids("capital", by="words", kind="result", provider="fake", model="small", metadata={"ticket": "T-1"}) == ["job-1"]
        assert await lib.ids("capital", kind="result", metadata={"ticket": "T-2"}) == []
