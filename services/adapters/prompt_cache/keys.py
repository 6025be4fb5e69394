"""`prompt_cache_key`: https://developers.openai.com/api/docs/guides/prompt-caching. Requests with the same beginning go where it is cached. Pure."""

import hashlib
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from pydantic_core import to_json

from catalog.capabilities import Caching
from contracts.config import PromptCacheV1

from ..protocol import Body

FIELD = "prompt_cache_key"
LENGTH = 32
SYSTEM = frozenset({"system", "developer"})


def mark(caching: Caching) -> Mapping[str, Any] | None:
    """Where a model takes explicit breakpoints beside its automatic one."""
    return caching.block_mark


def keyed(body: Body, model: str, caching: Caching, wanted: PromptCacheV1) -> Body:
    """The body of chat completions or Responses with a key, unless the request names its own or has nothing that stays the same."""
    if not caching.cache_key or FIELD in body:
        return body
    system, tools = _system(body), body.get("tools")
    if not system and not tools:
        return body
    digest = hashlib.sha256(to_json([model, tools, system])).hexdigest()
    return {**body, FIELD: digest[:LENGTH]}


def _system(body: Body) -> list[Any]:
    turns = body.get("messages", body.get("input", ()))
    instructions = [body["instructions"]] if body.get("instructions") else []
    leading = takewhile(lambda turn: turn.get("role") in SYSTEM, turns) if isinstance(turns, list) else ()
    return [*instructions, *leading]
