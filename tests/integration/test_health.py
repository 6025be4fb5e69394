"""Providers are checked by what costs nothing; one that is gone is asked last, until it is back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bus.lease import LEASE_S
from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.provider import Provider
from tests.support.stack import Stack, configuration, fake_provider

INTERVAL_S = 1.0
KEYLESS = {"id": "keyless", "type": "openai", "api_key": "${SURELY_NOT_SET}", "models": [{"id": "m"}]}
SLACK_S = 2.0
"""For a busy machine, and for the router to hear of it."""


@contextlib.asynccontextmanager
async def fleet(folder: Path, adapters: int = 1) -> AsyncIterator[tuple[Stack, Outsider, Provider]]:
    """Two providers, `first` (in this process) and `fake`; the route asks them in this order."""
    stack = Stack(folder, environment={"HEADRACE_ADAPTERS_HEALTH_INTERVAL_S": str(INTERVAL_S)})
    first = Provider(folder / "first.jsonl")
    try:
        await first.start()
        await asyncio.to_thread(stack.server.start)
        await stack.start_provider()
        config = configuration(
            stack.base_url,
            providers=[fake_provider(first.base_url, id="first"), fake_provider(stack.base_url), KEYLESS],
            routes={"default": {"candidates": ["first/small", "fake/small"]}},
        )
        await stack.begin_services(adapters, config, ("adapters",))
        stack.start("router-1")
        stack.start("validator-1")
        await asyncio.gather(stack.ready("router-1"), stack.ready("validator-1"))
        async with Outsider(stack.server.url) as outsider:
            yield stack, outsider, first
    finally:
        await asyncio.to_thread(stack.end)
        await first.stop()


async def health(outsider: Outsider, provider: str = "first") -> dict[str, Any]:
    return await outsider.stored("KV_HEALTH", f"$KV.HEALTH.{provider}") or {}


def begun(log: Path) -> int:
    return log.read_text().count('"event": "begin"')


async def changes(outsider: Outsider, provider: str) -> list[tuple[str, str]]:
    """What notices say of a provider: the state that it had, and the one that it got."""
    notices = [notice["details"] for _, _, notice in await outsider.all_stored("NOTICES", "llm.v1.notice.*.provider_health")]
    return [(told["was"], told["state"]) for told in notices if told["provider"] == provider]


async def becomes(outsider: Outsider, state: str, within_s: float, provider: str = "first") -> dict[str, Any]:
    async def reached() -> dict[str, Any] | None:
        found = await health(outsider, provider)
        return found if found.get("state") == state else None

    return dict(await eventually(reached, within_s, what=f"{provider} is {state}"))


async def test_a_provider_that_dies_is_unhealthy_within_two_intervals_asked_last_and_back_once_it_answers(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (stack, outsider, first):
        await becomes(outsider, "healthy", 10)
        await becomes(outsider, "healthy", 10, "fake")
        looks = first.looks
        await eventually(lambda: first.looks > looks, 2 * INTERVAL_S, what="a further look")
        assert (begun(tmp_path / "first.jsonl"), begun(stack.provider_log)) == (0, 0), "a check is never a call"
        keyless = await health(outsider, "keyless")
        assert (keyless["state"], keyless["failure"]) == ("unhealthy", "auth")
        assert "set SURELY_NOT_SET" in keyless["why"]
        assert (await outsider.answer("well"))["provider"] == "first"

        port = first.port
        await first.stop()
        told = await becomes(outsider, "unhealthy", 2 * INTERVAL_S + SLACK_S)
        assert "cannot connect" in told["why"]
        await outsider.silence(SLACK_S)
        result = await outsider.answer("ill")
        assert [(one["provider"], one["outcome"]) for one in result["attempts"]] == [("fake", "answered")]
        assert [warning["type"] for warning in result["warnings"]] == ["provider_unhealthy"]

        async with contextlib.AsyncExitStack() as exits:
            back = Provider(tmp_path / "first.jsonl")
            exits.push_async_callback(back.stop)
            await back.start(port)
            await becomes(outsider, "healthy", 2 * INTERVAL_S + SLACK_S)
            await outsider.silence(SLACK_S)
            assert (await outsider.answer("well-again"))["provider"] == "first"
            assert await changes(outsider, "first") == [("healthy", "degraded"), ("degraded", "unhealthy"), ("unhealthy", "healthy")]
            assert await changes(outsider, "fake") == []
            assert await changes(outsider, "keyless") == [("unknown", "unhealthy")]


async def test_all_unhealthy_candidates_are_asked_in_order_and_the_end_names_the_failure_not_the_health(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (stack, outsider, first):
        await first.stop()
        assert stack.provider is not None
        await asyncio.to_thread(stack.provider.stop)
        for provider in ("first", "fake"):
            await becomes(outsider, "unhealthy", 3 * INTERVAL_S + SLACK_S, provider)
        await outsider.silence(SLACK_S)
        result = await outsider.answer("nobody", deadline=(datetime.now(UTC) + timedelta(seconds=5)).isoformat(), within_s=15)
        assert result["attempts"][0]["provider"] == "first"
        assert {one["outcome"] for one in result["attempts"]} <= {"unavailable", "expired"}
        assert result["status"] in ("failed", "expired")


async def test_one_process_checks_and_another_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    async with fleet(tmp_path, adapters=2) as (stack, outsider, first):
        await becomes(outsider, "healthy", 10)

        def checkers() -> list[str]:
            return [name for name, program in stack.services.items() if '"event":"checking"' in program.text()]

        assert len(checkers()) == 1
        looks = first.looks
        await outsider.silence(4 * INTERVAL_S)
        assert 2 <= first.looks - looks <= 6, "both processes look"

        await first.stop()
        ill = await becomes(outsider, "unhealthy", 2 * INTERVAL_S + SLACK_S)
        stack.kill(checkers()[0])

        async def checked_again() -> bool:
            return len(checkers()) == 2 and (await health(outsider))["failures"] > ill["failures"]

        await eventually(checked_again, LEASE_S + 6, what="another checker, which knows how often the provider failed before")
        assert (await changes(outsider, "first"))[-2:] == [("healthy", "degraded"), ("degraded", "unhealthy")], "a change of checkers is no change of health"
        assert await changes(outsider, "keyless") == [("unknown", "unhealthy")]
