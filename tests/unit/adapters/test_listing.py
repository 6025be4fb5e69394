"""Listings of models in the shapes that providers document, and which ids they cover."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.adapters.listing import NoListing, Page, is_listed, page_of, page_path


@pytest.mark.parametrize(
    ("body", "page"),
    [
        ({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}, {"id": "o3"}]}, Page(("gpt-4o", "o3"))),
        ({"data": [{"id": "claude-a"}], "has_more": True, "first_id": "claude-a", "last_id": "claude-a"}, Page(("claude-a",), ("after_id", "claude-a"))),
        ({"data": [{"id": "claude-a"}], "has_more": False, "last_id": "claude-a"}, Page(("claude-a",))),
        ({"models": [{"name": "models/gemini-x", "version": "001"}], "nextPageToken": "t"}, Page(("gemini-x",), ("pageToken", "t"))),
        ({"publisherModels": [{"name": "publishers/google/models/gemini-x"}], "nextPageToken": ""}, Page(("gemini-x",))),
        ({"models": [{"name": "command-r", "endpoints": ["chat"]}], "next_page_token": "n"}, Page(("command-r",), ("page_token", "n"))),
        ({"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest"}]}, Page(("llama3.2:latest",))),
        ([{"id": "meta-llama/Llama-3", "type": "chat"}], Page(("meta-llama/Llama-3",))),
        ({"data": [{"id": "accounts/fireworks/models/x"}]}, Page(("accounts/fireworks/models/x",))),
        ({"data": []}, Page(())),
        ({"data": None}, Page(())),
        ({}, Page(())),
    ],
)
def test_a_listing_is_read_in_each_shape(body: Any, page: Page) -> None:
    assert page_of(body) == page


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(["data", "models", "id", "name", "has_more", "last_id", "nextPageToken"]), inner, max_size=3)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=8))
def test_any_body_is_a_listing_or_none(body: Any) -> None:
    try:
        page = page_of(body)
    except NoListing:
        return
    assert all(isinstance(name, str) and name for name in page.models)


@pytest.mark.parametrize(
    ("path", "more", "asked"),
    [
        ("/models", None, "/models"),
        ("/models", ("pageToken", "a b"), "/models?pageToken=a%20b"),
        ("/v1/models?limit=1000", ("after_id", "claude-a"), "/v1/models?limit=1000&after_id=claude-a"),
    ],
)
def test_the_next_page_is_asked_for(path: str, more: tuple[str, str] | None, asked: str) -> None:
    assert page_path(path, more) == asked


@pytest.mark.parametrize(
    ("model", "listed", "covered"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", True),
        ("claude-sonnet-4", "claude-sonnet-4-5", False),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219", True),
        ("llama3.2", "llama3.2:latest", True),
        ("llama3.2:70b", "llama3.2:latest", False),
        ("openai/gpt-4o:nitro", "openai/gpt-4o", True),
        ("claude-sonnet-4-5", "claude-sonnet-4-5@20250929", True),
        ("", "gpt", False),
    ],
)
def test_a_listing_covers_ids_aliases_and_tags(model: str, listed: str, covered: bool) -> None:
    assert is_listed(model, frozenset({listed})) == covered
