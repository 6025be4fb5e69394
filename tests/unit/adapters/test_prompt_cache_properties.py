"""Whatever the conversation: at most four markers, in order, which providers' own types accept; and without them the body is what it was."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from contracts.content import text_of
from contracts.request import ChatRequestV1
from services.adapters.prompt_cache.manual import MARK
from tests.corpus.converse import asked as converse
from tests.corpus.messages import asked as messages
from tests.support.conversations import IMAGES, conversations
from tests.support.prompt_cache import marks, sent, wire_of, without

MODELS = {"anthropic": "claude-sonnet-4-5", "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
ACCEPTED: dict[str, Any] = {"anthropic": messages.accepted, "bedrock": converse.accepted}
WANTED = st.fixed_dictionaries({"ttl": st.sampled_from(["5m", "1h"]), "cache_first_user": st.booleans()})
each = pytest.mark.parametrize("type_name", MODELS)


@each
@settings(max_examples=30, deadline=None)
@given(request=conversations(IMAGES), wanted=WANTED)
def test_without_its_markers_a_body_is_byte_for_byte_what_it_was(type_name: str, request: ChatRequestV1, wanted: dict[str, Any]) -> None:
    body = sent(type_name, MODELS[type_name], request, **wanted)
    assert without(body) == to_json(wire_of(type_name).chat(request, MODELS[type_name]).body)
    assert len(marks(body)) <= 4 and ACCEPTED[type_name](body) is None


@each
@settings(max_examples=30, deadline=None)
@given(request=conversations(IMAGES), wanted=WANTED, data=st.data())
def test_marks_by_hand_anywhere_leave_the_text_and_never_more_than_four_markers(
    type_name: str, request: ChatRequestV1, wanted: dict[str, Any], data: st.DataObject
) -> None:
    dumped = request.model_dump(mode="json", exclude_none=True)
    for part in [part for message in dumped["messages"] for part in message.get("parts", [message]) if part.get("type", "text") == "text"]:
        at = data.draw(st.integers(0, len(part["content"])))
        part["content"] = part["content"][:at] + MARK * data.draw(st.integers(0, 2)) + part["content"][at:]
    marked = ChatRequestV1.model_validate(dumped)
    body = sent(type_name, MODELS[type_name], marked, **wanted)
    lives = [mark.rpartition(":")[2] for mark in marks(body)]
    assert len(lives) <= 4 and lives == sorted(lives, key=["1h", "5m"].index) and MARK.encode() not in to_json(body)
    assert ACCEPTED[type_name](body) is None
    assert _texts(body) == _dense("".join(text_of(turn.all_parts()) for turn in request.messages if turn.role != "tool"))


def _texts(body: Any) -> str:
    """All text of systems and turns."""
    contents = [body.get("system", []), *(message["content"] for message in body["messages"])]
    return _dense("".join(block if isinstance(block, str) else block.get("text", "") for content in contents for block in content))


def _dense(text: str) -> str:
    """Without spaces: blank pieces beside a mark are left out."""
    return "".join(text.split())
