"""What the caches gave and took is read from every provider's answer: tokens read, tokens written, and the total with both in it."""

from typing import Any

import pytest
from pydantic_core import to_json

from contracts.request import ChatRequestV1
from services.adapters.protocol import Answer
from tests.support.prompt_cache import wire_of

OPENAI = {
    "choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 2000, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1500, "cache_write_tokens": 300}},
}
BODIES: dict[str, Any] = {
    "anthropic": {
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 200, "output_tokens": 1, "cache_read_input_tokens": 1500, "cache_creation_input_tokens": 300},
    },
    "bedrock": {
        "output": {"message": {"role": "assistant", "content": [{"text": "ok"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 200, "outputTokens": 1, "cacheReadInputTokens": 1500, "cacheWriteInputTokens": 300},
    },
    "openai": OPENAI,
    "azure_v1": OPENAI,
    "openai_responses": {
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}],
        "usage": {"input_tokens": 2000, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 1500, "cache_write_tokens": 300}},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 2000, "candidatesTokenCount": 1, "cachedContentTokenCount": 1500},
    },
}


@pytest.mark.parametrize("type_name", BODIES)
def test_tokens_read_and_written_are_part_of_the_total(type_name: str) -> None:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "q"}]})
    answer = wire_of(type_name, enabled=True).chat(request, "m").whole(BODIES[type_name])
    assert isinstance(answer, Answer), to_json(BODIES[type_name])
    written = None if type_name == "gemini" else 300
    assert (answer.usage.input_tokens, answer.usage.cache_read_tokens, answer.usage.cache_write_tokens) == (2000, 1500, written)
