"""Documents and results found by search, on a real server, with the indexer as a process of its own."""

import asyncio
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bus.server import free_port
from tests.support.processes import ROOT, eventually
from tests.support.searching import Library, embedded, library

MANY = {f"d{number}": f"Page {number} is about topic {number % 97} and the word unique{number}." for number in range(2000)}

BAD_QUESTIONS: list[Any] = [
    *({"text": "x" * 9000}, {"text": ""}, {"text": "secret", "tenant": "beta"}, {"text": "x", "limit": 10**9}, [], {"text": {"tenant": "beta"}}),
]


def cli(lib: Library, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cli.main", "--nats", lib.stack.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


async def test_documents_and_results_are_found_by_words_and_by_meaning_within_two_seconds(tmp_path: Path) -> None:
    async with library(tmp_path) as lib:
        await lib.put("returns", "Goods may be returned within thirty days of purchase.", title="Returns")
        await lib.put("kettle", "To boil water fill the kettle and press the switch.")
        await lib.settle("job-1", "The capital of France is Paris.", provider="fake", model="small", metadata={"ticket": "T-1"})
        await lib.settle("job-2", "The capital of Spain is Madrid.", status="failed")
        state = await lib.indexed()
        assert (state["documents"], state["results"]) == (2, 1)
        assert (await lib.ids("returned goods"))[0] == "returns"
        assert (await lib.ids("which city do French ministers work in", by="meaning"))[0] == "job-1"
        assert await lib.ids("capital", by="words", kind="result", provider="fake", model="small", metadata={"ticket": "T-1"}) == ["job-1"]
        assert await lib.ids("capital", kind="result", metadata={"ticket": "T-2"}) == []
        waits = []
        for number in range(10):
            began = time.monotonic()
            await lib.settle(f"late-{number}", f"The answer is marker{number}.")
            await eventually(partial(lib.ids, f"marker{number}", by="words"), 30, 0.02, what="a result found")
            waits.append(time.monotonic() - began)
        assert sorted(waits)[len(waits) // 2] < 2.0, waits


async def test_a_tenant_finds_its_own_whatever_it_asks_and_on_whatever_subject(tmp_path: Path) -> None:
    async with library(tmp_path) as lib:
        await lib.put("mine", "the kettle of acme")
        await lib.put("theirs", "the secret kettle of beta", tenant="beta")
        await lib.settle("theirs-too", "the secret answer of beta", tenant="beta")
        await lib.indexed("acme", "beta")
        hostile = [
            "secret",
            "tenant:beta secret",
            '" OR secret',
            "secret*",
            "NEAR(secret kettle)",
            "'; DROP TABLE index_documents; --",
            "水 🫖 \u0301",
            "secret " * 1100,
        ]
        for text in hostile:
            for by in ("both", "words", "meaning"):
                assert set(await lib.ids(text, by=by)) <= {"mine"}, text
        for subject in ("*", ">", "acme.beta", "beta ", "ACME", "acme.>"):
            try:
                reply = await lib.outsider.nc.request(f"llm.v1.query.search.{subject}", b'{"text": "secret"}', timeout=1)
            except Exception as error:  # noqa: BLE001  # whatever the client or the server says: there is no answer
                assert "secret" not in str(error)
                continue
            assert "of beta" not in reply.data.decode()
        for body in BAD_QUESTIONS:
            reply = await lib.outsider.nc.request("llm.v1.query.search.acme", json.dumps(body).encode(), timeout=10)
            answer = json.loads(reply.data)
            assert (answer["hits"], bool(answer["error"])) == ([], True), body
        assert (await lib.ids("secret", tenant="beta"))[0] in ("theirs", "theirs-too")
        assert "secret" not in lib.stack.services["indexer-1"].text()


async def test_deleted_and_expired_documents_are_not_found_and_bad_ones_are_parked_by_name(tmp_path: Path) -> None:
    async with library(tmp_path) as lib:
        soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        await lib.put("gone", "a kettle that is deleted")
        await lib.put("short", "a kettle that expires", expires_at=soon)
        await lib.put("stays", "a kettle that stays")
        await lib.indexed()
        await lib.put("gone", None)
        await lib.indexed()
        assert set(await lib.ids("kettle")) <= {"short", "stays"}
        await eventually(lambda: _only(lib, ["stays"]), 30, what="the expired one gone")
        await eventually(lambda: _documents(lib, 1), 30, what="the expired one swept out")
        assert (await lib.state())["chunks"] == 1
        js = lib.outsider.js
        await js.publish("llm.v1.document.acme.c.bad", b'{"id": "bad", "contnet": "secret-canary"}')
        await js.publish("llm.v1.document.acme.c.bad2", b'{"id": "bad", "content": "secret-canary"}')
        await js.publish("llm.v1.document.nobody.c.bad3", b'{"id": "bad3", "content": "secret-canary"}')
        await js.publish("llm.v1.document.acme.c.bad4", b"\xff")
        letters = await eventually(lambda: _letters(lib, 4), 30, what="four dead letters")
        assert sorted(letter["reason"] for letter in letters) == ["invalid_document", "invalid_document", "subject_disagrees", "unknown_tenant"]
        assert {letter["tenant"] for letter in letters} == {"acme", "nobody"}
        assert not any("secret-canary" in letter["message"] for letter in letters)
        assert await lib.ids("kettle") == ["stays"]


async def _only(lib: Library, wanted: list[str]) -> bool:
    return await lib.ids("kettle") == wanted


async def _documents(lib: Library, count: int) -> bool:
    return bool((await lib.state())["documents"] == count)


async def _letters(lib: Library, count: int) -> list[dict[str, Any]] | None:
    letters = await lib.dead()
    return letters if len(letters) == count else None


async def test_a_killed_indexer_goes_on_without_loss_or_duplicates_and_embeds_nothing_twice(tmp_path: Path) -> None:
    port = free_port()
    async with library(tmp_path, {"HEADRACE_PROBE_PORT": str(port), "OTEL_SDK_DISABLED": "false"}) as lib:
        publishing = asyncio.create_task(lib.put_all(MANY))
        seen, total = 0, 0
        for _ in range(4):
            await eventually(partial(_more, lib, seen + 150), 60, 0.02, what="the index growing")
            seen = (await lib.state())["documents"]
            total += await asyncio.to_thread(embedded, port)
            lib.stack.kill("indexer-1")
            lib.stack.start("indexer-1")
            await lib.stack.ready("indexer-1")
        await publishing
        state = await lib.indexed()
        assert (state["documents"], state["chunks"]) == (len(MANY), len(MANY))
        for number in range(0, len(MANY), 101):
            assert await lib.ids(f"unique{number}", by="words") == [f"d{number}"]
            assert f"d{number}" in await lib.ids(MANY[f"d{number}"], by="meaning")
        before = await asyncio.to_thread(embedded, port)
        assert total + before <= len(MANY)  # what a killed process had embedded but not told of is missing here, never more
        await lib.put_all(MANY)
        await lib.indexed()
        assert await asyncio.to_thread(embedded, port) == before


async def _more(lib: Library, count: int) -> bool:
    return bool((await lib.state())["documents"] >= min(count, len(MANY) - 50))


async def test_another_embedding_model_has_vectors_of_its_own_and_an_outage_leaves_words(tmp_path: Path) -> None:
    route = {"HEADRACE_INDEXER_EMBEDDINGS": "embedding"}
    async with library(tmp_path, services=("router", "adapters", "validator", "indexer")) as lib:
        await lib.put("kettle", "To boil water fill the kettle.")
        await lib.indexed()
        assert (await lib.ask("kettle"))["space"] == "wordllama/256"
        lib.stack.services["indexer-1"].stop()
        lib.stack.start("indexer-1", route)
        await lib.stack.ready("indexer-1")
        await lib.indexed(within_s=60)
        answer = await lib.ask("kettle", by="meaning")
        assert (answer["space"], [hit["id"] for hit in answer["hits"]]) == ("fake/embed/8", ["kettle"])
        calls = len(lib.stack.calls())
        await lib.put("again", "To boil water fill the kettle.")
        await lib.indexed()
        assert len(lib.stack.calls()) == calls
        lib.stack.services["adapters-1"].stop()
        await lib.put("teapot", "The teapot stands on the table.")
        await eventually(lambda: lib.ids("teapot", by="words"), 30, what="found by its words")
        answer = await lib.ask("teapot")
        assert ([hit["id"] for hit in answer["hits"]], answer["space"]) == (["teapot"], None)
        assert "by words alone" in answer["warning"]
        lib.stack.start("adapters-1")
        await lib.stack.ready("adapters-1")
        await eventually(lambda: _vectors(lib), 90, 0.3, what="the vector made up for")


async def _vectors(lib: Library) -> bool:
    return bool((await lib.state())["without_vector"] == 0)


async def test_the_command_line_indexes_what_changed_and_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    for number in range(30):
        (folder / "sub" / f"page{number}.md").write_text(f"# Page {number}\n\nAbout kettles of kind{number}.\n")
    (folder / "image.png").write_bytes(b"\x89PNG")
    async with library(tmp_path / "stack") as lib:
        ask = ("--tenant", "acme", "--json")
        code, out, err = await asyncio.to_thread(cli, lib, *ask, "index", str(folder), "--collection", "docs")
        assert (code, json.loads(out)["published"], json.loads(out)["missing"]) == (0, 30, 0), err
        assert "left out: image.png" in err
        (folder / "sub" / "page3.md").rename(folder / "renamed.md")
        (folder / "sub" / "page4.md").write_text("now about teapots")
        code, out, err = await asyncio.to_thread(cli, lib, *ask, "index", str(folder), "--collection", "docs", "--prune")
        counts = json.loads(out)
        assert (code, counts["published"], counts["deleted"], counts["chunks"]) == (0, 2, 1, 30), err
        code, out, err = await asyncio.to_thread(cli, lib, *ask, "search", "kind3", "--by", "words", "--collection", "docs")
        assert (code, [hit["uri"] for hit in json.loads(out)["hits"]]) == (0, ["renamed.md"]), err
        code, out, _ = await asyncio.to_thread(cli, lib, "--tenant", "acme", "search", "teapots", "--limit", "1")
        assert (code, "sub/page4.md" in out, "now about teapots" in out) == (0, True, True)
        lib.stack.services["indexer-1"].stop()
        code, _, err = await asyncio.to_thread(cli, lib, "search", "teapots")
        assert (code, "no indexer answers" in err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", ""),
        ("search", "x", "--by", "magic"),
        ("search", "x", "--metadata", "k"),
        ("search", "x", "--since", "never"),
        ("index", ".", "--collection", "a b"),
    ],
)
def test_wrong_usage_is_told_without_a_server(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", "cli.main", *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 2, done.stderr
