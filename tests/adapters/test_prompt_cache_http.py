"""The step in a client as the adapters make it: on the wire where the configuration says so, absent where it does not."""

import asyncio

import pytest

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1
from services.adapters.protocol import Answer
from tests.adapters.documented import bodies_of, client_for, serving

REQUEST = ChatRequestV1.model_validate({"messages": [{"role": "system", "content": "rules"}, {"role": "user", "content": "q"}]})
MARKS = {
    "anthropic": '"cache_control":{"type":"ephemeral","ttl":"1h"}',
    "bedrock": '{"cachePoint":{"type":"default","ttl":"1h"}}',
    "openai": '"prompt_cache_key":',
}


@pytest.mark.parametrize("type_name", MARKS)
def test_a_configured_provider_is_sent_the_markers_and_another_is_not(type_name: str) -> None:
    async def within() -> None:
        async with serving() as (server, session):
            bodies = bodies_of(kind_of(type_name).protocol)
            for prompt_cache, count in (({"enabled": True, "ttl": "1h"}, 1), ({}, 0)):
                server.says(bodies.answer.replace("{STOP}", next(iter(bodies.stops))))
                client = client_for(server, session, type_name, prompt_cache=prompt_cache)
                outcome = await client.chat(REQUEST, "anthropic.claude-sonnet-4-5", timeout_s=10, idempotency_key="job/1")
                assert isinstance(outcome, Answer) and outcome.warnings == ()
                assert server.asked[0]["body"].count(MARKS[type_name]) == count

    asyncio.run(within())
