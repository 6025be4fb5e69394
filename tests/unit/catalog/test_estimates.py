"""Input tokens guessed from a request."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.estimates import MEDIA_TOKENS, estimate_input_tokens
from contracts.request import ChatRequestV1, EmbedRequestV1


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_text_counts_a_token_for_four_characters(texts: list[str]) -> None:
    wanted = -(-sum(map(len, texts)) // 4)
    assert estimate_input_tokens(EmbedRequestV1(input=tuple(texts))) == wanted
    chat = {"messages": [{"role": "user", "content": text} for text in texts]}
    assert estimate_input_tokens(ChatRequestV1.model_validate(chat)) == wanted


def test_an_image_counts_flat_whatever_its_bytes() -> None:
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "A" * 100_000}
    chat = {"messages": [{"role": "user", "parts": [image, {"type": "text", "content": "what?"}]}]}
    assert estimate_input_tokens(ChatRequestV1.model_validate(chat)) == MEDIA_TOKENS + 2


def test_tools_and_schemas_count() -> None:
    bare = {"messages": [{"role": "user", "content": "hi"}]}
    tools = bare | {"tools": [{"name": "lookup", "description": "finds", "parameters": {"type": "object"}}]}
    schema = bare | {"output": {"json_schema": {"type": "object"}}}
    sizes = [estimate_input_tokens(ChatRequestV1.model_validate(each)) for each in (bare, tools, schema)]
    assert sizes[0] == 1 < sizes[2] < sizes[1]
