"""What holds for every provider entry, over real HTTP, on the bodies that each protocol documents."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from catalog.kinds import kind_of, kinds
from contracts.content import TextPart, ToolCallPart
from contracts.request import ChatRequestV1
from services.adapters.protocol import Answer, Client, DeltaPiece, Failure
from tests.adapters.documented import CALLS, KEY, TEXT, VARIANTS, Server, a_type_of, bodies_of, client_for, documented, provider_types, serving

SSE = [name for name in documented() if bodies_of(name).framing == "sse"]
TOOLS = [{"name": name, "parameters": {"type": "object", "properties": {field: {"type": "string"} for field in arguments}}} for name, arguments in CALLS]
each_provider = pytest.mark.parametrize("type_name", provider_types())
each_protocol = pytest.mark.parametrize("protocol", documented())
Check = Callable[[Server, aiohttp.ClientSession], Awaitable[None]]


def run(check: Check) -> None:
    async def within() -> None:
        async with serving() as (server, session):
            await check(server, session)

    asyncio.run(within())


async def chat(client: Client, on_delta: Any = None, **fields: Any) -> Answer | Failure:
    given = {"messages": [{"role": "user", "content": "the prompt"}], "sampling": {"max_output_tokens": 100}, **fields}
    return await client.chat(ChatRequestV1.model_validate(given), "m", timeout_s=10, idempotency_key="job/1", on_delta=on_delta)


def answered(outcome: Answer | Failure) -> Answer:
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return outcome


def text(outcome: Answer | Failure) -> str:
    message = outcome.message if isinstance(outcome, Answer) else outcome.partial
    return "".join(part.content for part in message.all_parts() if isinstance(part, TextPart)) if message is not None else ""


def calls(outcome: Answer | Failure) -> list[tuple[str, Any]]:
    return [(part.name, part.arguments) for part in answered(outcome).message.all_parts() if isinstance(part, ToolCallPart)]  # type: ignore[union-attr]


def is_whole(outcome: Answer | Failure) -> None:
    """The stream's answer, all of it but the usage, which may come after the rest."""
    answer = answered(outcome)
    assert (text(answer), calls(answer), answer.finish_reason) == (TEXT, CALLS, "tool_call")


def test_every_protocol_has_documented_bodies() -> None:
    assert {kind.protocol for kind in kinds().values()} <= {*documented()}, "write tests/adapters/bodies/<protocol>.toml from its documentation"


@each_provider
def test_all_system_messages_arrive_in_their_order(type_name: str) -> None:
    bodies = bodies_of(kind_of(type_name).protocol)

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        server.says(bodies.answer.replace("{STOP}", next(iter(bodies.stops))))
        messages = [{"role": "system", "content": "first rule"}, {"role": "system", "content": "second rule"}, {"role": "user", "content": "the prompt"}]
        answered(await chat(client_for(server, session, type_name), messages=messages))
        sent = server.asked[0]["body"]
        assert sent.count("first rule") == sent.count("second rule") == sent.count("the prompt") == 1
        assert sent.index("first rule") < sent.index("second rule")

    run(check)


@each_provider
def test_each_stop_reason_is_mapped_and_the_usage_read(type_name: str) -> None:
    bodies = bodies_of(kind_of(type_name).protocol)

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        client = client_for(server, session, type_name)
        for wire, ours in bodies.stops.items():
            server.says(bodies.answer.replace("{STOP}", wire))
            answer = answered(await chat(client))
            assert (text(answer), answer.finish_reason, answer.usage.input_tokens, answer.usage.output_tokens) == (TEXT, ours, 11, 7), wire

    run(check)


@each_provider
def test_two_tool_calls_in_one_answer(type_name: str) -> None:
    bodies = bodies_of(kind_of(type_name).protocol)

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        server.says(bodies.two_calls)
        answer = answered(await chat(client_for(server, session, type_name), tools=TOOLS))
        assert calls(answer) == CALLS and answer.finish_reason == "tool_call"
        assert len({part.id for part in answer.message.all_parts() if isinstance(part, ToolCallPart)}) == 2  # type: ignore[union-attr]

    run(check)


@each_provider
def test_a_stream_written_byte_by_byte_is_told_piece_by_piece_and_whole(type_name: str) -> None:
    bodies = bodies_of(kind_of(type_name).protocol)

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        pieces: list[DeltaPiece] = []
        server.says(bodies.streamed(), content_type=bodies.content_type, chunk=1)
        outcome = await chat(client_for(server, session, type_name), pieces.append, stream=True, tools=TOOLS)
        is_whole(outcome)
        assert answered(outcome).usage.input_tokens == 11 and answered(outcome).usage.output_tokens == 7
        assert "".join(piece.content or "" for piece in pieces if piece.type == "text") == TEXT
        written: dict[int, str] = {}
        for piece in pieces:
            if piece.tool_call is not None:
                written[piece.part] = written.get(piece.part, "") + (piece.tool_call.arguments_delta or "")
        assert [json.loads(arguments) for arguments in written.values()] == [arguments for _, arguments in CALLS]

    run(check)


@each_provider
def test_the_key_goes_into_its_header_and_nowhere_else(type_name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    kind = kind_of(type_name)
    bodies = bodies_of(kind.protocol)
    echo = KEY if kind.auth not in ("none", "aws") else "of nobody"

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        server.says(bodies.error.replace("{KEY}", echo), status=401)
        outcome = await chat(client_for(server, session, type_name))
        assert isinstance(outcome, Failure) and outcome.type == "auth" and KEY not in repr(outcome)
        asked = server.asked[0]
        holding = [name.lower() for name, value in asked["headers"].items() if KEY in value]
        assert len(holding) == (kind.auth not in ("none", "aws")) and KEY not in asked["url"] + asked["body"]
        if kind.auth == "bearer":
            assert holding == ["authorization"]
        server.says(bodies.error.replace("{KEY}", echo))
        assert KEY not in repr(await chat(client_for(server, session, type_name)))

    run(check)
    assert KEY not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("protocol", SSE)
def test_the_same_events_written_in_another_way_are_the_same_answer(protocol: str, variant: str) -> None:
    bodies = bodies_of(protocol)
    stream = VARIANTS[variant](bodies.streamed())
    assert stream != bodies.streamed()

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        client = client_for(server, session, a_type_of(protocol))
        for chunk in (None, 1):
            server.says(stream, content_type=bodies.content_type, chunk=chunk)
            is_whole(await chat(client, stream=True, tools=TOOLS))

    run(check)


@pytest.mark.parametrize("then", ["end", "abort"])
@each_protocol
def test_a_stream_cut_at_every_tenth_byte_is_whole_or_a_failure_with_what_had_arrived(protocol: str, then: str) -> None:
    bodies = bodies_of(protocol)
    stream = bodies.streamed()

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        client, arrived = client_for(server, session, a_type_of(protocol)), 0
        for at in range(0, len(stream), 10 if then == "end" else 150):
            server.says(stream[:at], content_type=bodies.content_type, chunk=len(stream), then=then)
            outcome = await chat(client, stream=True, tools=TOOLS)
            if isinstance(outcome, Answer):
                is_whole(outcome)
                continue
            assert outcome.type == "truncated_stream" and not outcome.usage_known_zero, (at, outcome)
            assert TEXT.startswith(text(outcome)) and len(text(outcome)) >= arrived, at
            arrived = len(text(outcome))
        assert arrived == len(TEXT)

    run(check)


@each_protocol
def test_a_stream_that_stalls_is_a_timeout_with_what_had_arrived(protocol: str) -> None:
    bodies = bodies_of(protocol)
    stream = bodies.streamed()

    async def check(server: Server, session: aiohttp.ClientSession) -> None:
        client = client_for(server, session, a_type_of(protocol), idle_timeout_s=0.1, first_token_timeout_s=0.5)
        server.says(stream[: len(stream) // 2], content_type=bodies.content_type, then="hold")
        outcome = await chat(client, stream=True, tools=TOOLS)
        assert isinstance(outcome, Failure) and outcome.type == "timeout" and text(outcome) == TEXT

    run(check)
