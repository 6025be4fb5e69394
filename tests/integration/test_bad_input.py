"""Whatever is published: a result, a dead letter or a duplicate, and the same processes before and after."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.client import Outsider
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(300)
HELLO = [{"role": "user", "content": "Hello"}]
MADE = 5000
MAX_PAYLOAD_BYTES = 8 << 20


async def refusal(outsider: Outsider, body: Any, **where: Any) -> dict[str, Any]:
    """Publish, and await the result of what has no usable id."""
    seq = await outsider.request(body, **where)
    usable = isinstance(body, dict) and isinstance(body.get("id"), str)
    return await outsider.result(body["id"] if usable else f"seq-{seq}", where.get("tenant", "acme"))


REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "unknown field": ({"messages": HELLO, "temprature": 1}, "invalid_request", "temprature"),
    "unknown nested field": ({"messages": HELLO, "sampling": {"topp": 1}}, "invalid_request", "sampling.topp"),
    "no messages": ({}, "invalid_request", "messages"),
    "not an object": ([1, 2], "invalid_request", None),  # type: ignore[dict-item]  # a list on purpose
    "unusable id": ({"id": 17, "messages": HELLO}, "invalid_request", "id"),
    "other tenant": ({"messages": HELLO, "tenant": "beta"}, "invalid_request", "tenant"),
    "unknown model": ({"messages": HELLO, "model": "fake/nonesuch"}, "no_candidate", "model"),
    "unknown provider": ({"messages": HELLO, "model": "nobody/small"}, "no_candidate", "model"),
    "unknown route": ({"messages": HELLO, "route": "nowhere"}, "no_candidate", "route"),
    "deadline without offset": ({"messages": HELLO, "deadline": "2026-12-01T12:00:00"}, "invalid_request", "deadline"),
    "deadline too far": ({"messages": HELLO, "deadline": "2999-12-01T12:00:00Z"}, "invalid_request", "deadline"),
    "no time": ({"messages": HELLO, "timeout_s": 0}, "invalid_request", "timeout_s"),
    "lane to come": ({"messages": HELLO, "lane": "batch"}, "not_supported", "lane"),
    "unpriced": ({"messages": HELLO, "model": "fake/free", "max_cost_usd": "1"}, "unpriced", None),
    "too dear": ({"messages": HELLO, "max_cost_usd": "0.000000001"}, "budget_exceeded", None),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_request_that_cannot_be_served_is_refused_by_name(stack: Stack, name: str) -> None:
    body, kind, where = REFUSED[name]
    async with Outsider(stack.server.url) as outsider:
        result = await refusal(outsider, body)
        assert (result["status"], result["error"]["type"]) == ("refused", kind)
        assert where is None or result["error"]["field"] == where
        assert result["attempts"] == []


async def test_a_tenant_that_is_not_configured_is_told_so(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        result = await refusal(outsider, {"id": "who", "messages": HELLO}, tenant="nobody")
        assert (result["status"], result["error"]["type"]) == ("refused", "unknown_tenant")


async def test_a_deadline_in_the_past_expires(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        past = datetime.now(UTC) - timedelta(minutes=1)
        result = await outsider.answer("past", deadline=past.isoformat())
        assert (result["status"], result["error"]["type"]) == ("expired", "deadline_exceeded")
        assert stack.calls("past") == []


@pytest.mark.parametrize(("body", "tenant"), [(b"\xff\xfe not json", "acme"), (b"", "acme"), (b'{"id": "x"', "acme"), (b'{"messages": []}', "Not-A-Tenant")])
async def test_what_cannot_be_decoded_becomes_a_dead_letter_with_its_bytes(stack: Stack, body: bytes, tenant: str) -> None:
    async with Outsider(stack.server.url) as outsider:
        seq = await outsider.request(body, tenant=tenant)
        await outsider.idle("router-standard", "REQUESTS", 20)
        letters = [letter for _, _, letter in await outsider.all_stored("DEAD_LETTERS") if letter["source"]["sequence"] == seq]
        assert [base64.b64decode(letter["body_base64"]) for letter in letters] == [body]


@pytest.mark.parametrize("spare_bytes", [0, 200, 5000, 100_000])
async def test_a_body_at_the_payload_limit_ends_in_a_result(stack: Stack, spare_bytes: int) -> None:
    async with Outsider(stack.server.url) as outsider:
        head, tail = b'{"messages": [{"role": "user", "content": "', b'"}]}'
        body = head + b"x" * (MAX_PAYLOAD_BYTES - spare_bytes - len(head) - len(tail)) + tail
        result = await refusal(outsider, body)
        assert result["status"] in ("succeeded", "refused", "failed")
        if result["status"] == "refused":
            assert result["error"]["type"] in ("too_large", "no_candidate", "context_too_long")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
ids = (
    st.sampled_from(["a", "b b", "job-1", "x" * 64, "x" * 65, "", "seq-1", "é", "a.b", ">", "*"])
    | st.integers()
    | st.none()
    | st.text("abcdef", min_size=1, max_size=8)
)
fields: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "tenant": st.sampled_from(["acme", "beta", "", None]),
    "route": st.sampled_from(["default", "nowhere", "", None]),
    "model": st.sampled_from(["fake/small", "fake/none", "small", "/", None]),
    "lane": st.sampled_from(["standard", "interactive", "bulk", "batch", "fast", None]),
    "deadline": st.sampled_from(["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "soon", 5, "2026-12-01"]),
    "timeout_s": st.sampled_from([1, 30, 0, -1, 1e300, "3", None]),
    "max_cost_usd": st.sampled_from(["0.01", "-1", "NaN", 0, "1e-30", "x"]),
    "metadata": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3) | json_values,
    "output": st.sampled_from([{"json_schema": {"type": "object"}, "max_repairs": 0}, {"json_schema": {"type": "nonsense"}}, {}, 3]),
    "tools": st.lists(json_values, max_size=2),
    "sampling": st.sampled_from([{"temperature": 0.1}, {"temperature": 9}, {"stop": ["x"]}, []]),
    "stream": st.booleans() | st.just("yes"),
    "surprise": json_values,
}
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "robot"])}, optional={"content": st.text(max_size=8), "parts": json_values}), max_size=2
)
requests = st.fixed_dictionaries({"messages": messages | st.just(HELLO)}, optional=fields) | st.fixed_dictionaries({"messages": st.just(HELLO), "id": ids})
bodies = requests.map(lambda value: json.dumps(value).encode()) | json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=12)


def made() -> list[bytes]:
    """The same 5,000 bodies in every run."""
    found: list[bytes] = []

    @settings(max_examples=MADE, phases=[Phase.generate], database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(bodies)
    def collect(body: bytes) -> None:
        found.append(body)

    collect()
    return found + found[: MADE - len(found)]


@pytest.mark.slow
async def test_every_published_request_is_a_result_a_dead_letter_or_a_duplicate(stack: Stack) -> None:
    pids = {name: program.pid for name, program in stack.services.items()}
    async with Outsider(stack.server.url) as outsider:
        room = asyncio.Semaphore(64)

        async def publish(body: bytes) -> int:
            async with room:
                return await outsider.request(body, tenant="beta")

        published = set(await asyncio.gather(*(publish(body) for body in made())))
        assert len(published) >= MADE - 200
        for durable in ("router-standard", "router-interactive"):
            await outsider.idle(durable, "REQUESTS", 120)
        await outsider.idle("router-failed-standard", "ATTEMPTS")

        async def ends() -> tuple[set[int], set[int]]:
            results = {result["request_seq"] for _, _, result in await outsider.all_stored("RESULTS", "llm.v1.result.beta.>")}
            letters = {letter["source"]["sequence"] for _, _, letter in await outsider.all_stored("DEAD_LETTERS") if letter["source"]["stream"] == "REQUESTS"}
            return results & published, letters & published

        await eventually_settled(outsider)
        results, letters = await ends()
        assert not results & letters
        others = published - results - letters
        duplicates = {seq for seq in others if await is_duplicate(outsider, seq)}
        assert others == duplicates
        assert len(results) + len(letters) + len(duplicates) == len(published)
    assert {name: program.pid for name, program in stack.services.items() if program.alive} == pids


async def eventually_settled(outsider: Outsider) -> None:
    """Until no call is left."""
    for _ in range(120):
        if await outsider.messages("CALLS") == 0:
            break
        await asyncio.sleep(0.5)
    await outsider.idle("validator-standard", "ATTEMPTS")
    await outsider.idle("validator-interactive", "ATTEMPTS")
    await outsider.idle("validator-bulk", "ATTEMPTS")


async def is_duplicate(outsider: Outsider, seq: int) -> bool:
    """Whether the id of this request has a result that an earlier request earned."""
    message = await outsider.js.get_msg("REQUESTS", seq, direct=True)
    body = json.loads(message.data or b"")
    result = await outsider.stored("RESULTS", f"llm.v1.result.beta.{body['id']}")
    return result is not None and result["request_seq"] != seq
