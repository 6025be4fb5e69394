"""What marking a prompt for the provider's cache costs a request: `python -m bench.prompt_cache`."""

import json
import statistics
import time
from typing import Any

from catalog.kinds import kind_of
from contracts.config import ProviderV1
from contracts.request import ChatRequestV1
from services.adapters.clients import WIRES
from services.adapters.prompt_cache.step import cached

MESSAGES, TOOLS = 20, 8
MODELS = {"anthropic": "claude-sonnet-4-5", "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0", "openai": "gpt-5.6"}


def figures(rounds: int = 1000) -> dict[str, Any]:
    """Microseconds of CPU a request of 20 messages, of the slowest protocol: the body with the step less the body without it."""
    measured = {type_name: _extra_us(type_name, model, rounds) for type_name, model in MODELS.items()}
    slowest = max(measured.values(), key=lambda extra: extra[1])
    return {"p50_us": slowest[0], "p95_us": slowest[1], "by_protocol": {name: {"p50_us": p50, "p95_us": p95} for name, (p50, p95) in measured.items()}}


def _extra_us(type_name: str, model: str, rounds: int) -> tuple[float, float]:
    provider = ProviderV1.model_validate({"id": "p", "type": type_name, "models": [{"id": model}], "prompt_cache": {"enabled": True}})
    kind, request = kind_of(type_name), _request()
    plain = WIRES[kind.protocol](kind, "p", {})
    marked = cached(plain, kind.protocol, provider, kind.base_url)
    took: list[float] = []
    for _ in range(rounds):
        began = time.thread_time()
        plain.chat(request, model)
        between = time.thread_time()
        marked.chat(request, model)
        took.append((time.thread_time() - between - (between - began)) * 1e6)
    cuts = statistics.quantiles(took, n=20)
    return round(cuts[9], 1), round(cuts[18], 1)


def _request() -> ChatRequestV1:
    """A conversation of an agent: a long system prompt with a mark of its own, tools, and turns of some thousand characters."""
    text = "All that the model has to know of the matter at hand. " * 40
    turns = [{"role": ("user", "assistant")[number % 2], "content": f"{number}: {text}"} for number in range(MESSAGES - 1)]
    system = {"role": "system", "content": f"{text}[CACHE_BREAKPOINT]{text}"}
    fields = {name: {"type": "string", "description": f"The {name} that is meant."} for name in ("city", "day", "unit", "source")}
    tools = [{"name": f"tool_{number}", "description": text[:200], "parameters": {"type": "object", "properties": fields}} for number in range(TOOLS)]
    return ChatRequestV1.model_validate({"messages": [system, *turns], "tools": tools})


if __name__ == "__main__":
    print(json.dumps(figures()))
