"""Documents and results read: what can be indexed, and what is refused by name."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bus.errors import Reject
from services.indexer.entries import Entry, entry_of_document, entry_of_result

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOKENS = ["document", "acme", "handbook", "page-7"]


def document(**fields: Any) -> Entry:
    body = {"id": "page-7", "content": "Goods may be returned.", **fields}
    return entry_of_document(TOKENS, json.dumps(body).encode(), NOW, {"acme"})


def result(tokens: list[str] | None = None, **fields: Any) -> Entry | None:
    message = {"role": "assistant", "parts": [{"type": "text", "content": "Paris"}]}
    body = {"request_id": "job-1", "tenant": "acme", "status": "succeeded", "message": message, "finished_at": "2026-11-21T12:00:00Z", **fields}
    return entry_of_result(tokens or ["result", "acme", "job-1"], json.dumps(body).encode(), NOW, keep_days=10)


def test_a_title_is_searched_with_the_text() -> None:
    assert document(title="Returns").text == "Returns\n\nGoods may be returned."


def test_html_is_read_as_a_reader_of_the_page_would() -> None:
    page = "<html><head><style>p {color: red}</style><script>var x = 1</script></head><p>Goods &amp; more</p><p>may be<b>returned</b></html>"
    assert document(content=page, mime_type="text/html").text.split() == ["Goods", "&", "more", "may", "be", "returned"]  # type: ignore[union-attr]


def test_a_deletion_has_no_text() -> None:
    assert document(operation="delete", content=None).text is None


@pytest.mark.parametrize(
    ("fields", "reason", "names"),
    [
        ({"id": "page-8"}, "subject_disagrees", "id"),
        ({"tenant": "beta"}, "subject_disagrees", "tenant"),
        ({"collection": "other"}, "subject_disagrees", "collection"),
        ({"contnet": "typo"}, "invalid_document", "contnet"),
        ({"content": None}, "invalid_document", "content"),
        ({"operation": "delete"}, "invalid_document", "content"),
        ({"operation": "append"}, "invalid_document", "operation"),
        ({"mime_type": "image/png"}, "not_supported", "mime_type"),
        ({"expires_at": "tomorrow"}, "invalid_document", "expires_at"),
        ({"expires_at": "2026-12-01T00:00:00"}, "invalid_document", "expires_at"),
        ({"metadata": {"k": "v" * 300}}, "invalid_document", "metadata"),
    ],
)
def test_a_document_that_cannot_be_indexed_is_refused_by_name_and_not_quoted(fields: dict[str, Any], reason: str, names: str) -> None:
    with pytest.raises(Reject) as refused:
        document(**{"title": "secret-canary", **fields})
    assert refused.value.reason == reason
    assert names in str(refused.value)
    assert "secret-canary" not in str(refused.value)
    assert "Goods" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"id": "page-7", "content": "\\ud800"}'])
def test_bytes_that_are_no_document_are_refused(body: bytes) -> None:
    with pytest.raises(Reject, match=r".") as refused:
        entry_of_document(TOKENS, body, NOW, {"acme"})
    assert refused.value.reason == "invalid_document"


def test_a_tenant_that_is_not_configured_is_refused() -> None:
    with pytest.raises(Reject, match="'acme' is not configured"):
        entry_of_document(TOKENS, b'{"id": "page-7", "content": "x"}', NOW, {"default"})


def test_what_a_succeeded_request_brought_is_found_for_some_days() -> None:
    entry = result()
    assert entry is not None
    assert (entry.text, entry.at, entry.expires_at) == ("Paris", "2026-11-21T12:00:00.000000Z", "2026-12-01T12:00:00.000000Z")


@pytest.mark.parametrize("status", ["failed", "refused", "expired", "cancelled", "of a newer version"])
def test_only_what_succeeded_is_found(status: str) -> None:
    assert result(status=status) is None


def test_vectors_and_empty_answers_are_nothing_to_find() -> None:
    assert result(message=None, embeddings=[[1.0]]) is None


def test_a_parsed_answer_is_found_once() -> None:
    same = result(message={"role": "assistant", "content": '{"capital":  "Paris"}'}, parsed={"capital": "Paris"})
    other = result(parsed={"capital": "Paris"})
    assert same is not None
    assert same.text == '{"capital":  "Paris"}'
    assert other is not None
    assert other.text == 'Paris\n\n{"capital": "Paris"}'


def test_a_result_whose_subject_names_another_is_refused() -> None:
    with pytest.raises(Reject) as refused:
        result(["result", "beta", "job-1"])
    assert refused.value.reason == "subject_disagrees"
