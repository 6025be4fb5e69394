"""Reads the models that a provider lists, in whichever of the shapes that are in use, page by page. Pure."""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

FIELDS = ("data", "models", "publisherModels")
FOLDERS = ("models/", "publishers/google/models/", "publishers/anthropic/models/")
"""Google writes them before the ids that its calls take."""
NEXT = {"nextPageToken": "pageToken", "next_page_token": "page_token"}
"""By the field that names the next page: the parameter that asks for it."""

SHORTEST_VERSION = len("-001")


class Page(NamedTuple):
    """Ids in the provider's order; `more`: the parameter and value that ask for the next page."""

    models: tuple[str, ...]
    more: tuple[str, str] | None = None


class NoListing(ValueError):
    """A body that lists no models in any known shape."""


def page_of(body: Any) -> Page:
    """Raises NoListing."""
    items = body if isinstance(body, list) else next((body[name] for name in FIELDS if isinstance(body, dict) and isinstance(body.get(name), list)), None)
    if items is None:
        if isinstance(body, dict) and (not body or body.get("data", 0) is None or body.get("models", 0) is None):
            return Page(())
        raise NoListing(f"it lists no models: {str(body)[:100]!r}")
    return Page(tuple(dict.fromkeys(filter(None, map(_id, items)))), _more(body))


def _id(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("id"), str):
        return str(item["id"])
    name = item.get("name")
    if not isinstance(name, str):
        return None
    return next((name.removeprefix(folder) for folder in FOLDERS if name.startswith(folder)), name)


def _more(body: Any) -> tuple[str, str] | None:
    if not isinstance(body, dict):
        return None
    if body.get("has_more") is True and isinstance(body.get("last_id"), str):
        return "after_id", body["last_id"]
    return next(((asked, body[named]) for named, asked in NEXT.items() if isinstance(body.get(named), str) and body[named]), None)


def page_path(path: str, more: tuple[str, str] | None) -> str:
    """The listing's path for a page."""
    if more is None:
        return path
    plain, _, query = path.partition("?")
    return f"{plain}?{urlencode([*parse_qsl(query), more], quote_via=quote)}"


def is_listed(model: str, listed: frozenset[str]) -> bool:
    """Whether a listing covers an id that calls use: by its name, as the alias of a dated version, or with a tag that the provider adds to names."""
    if model in listed or model.partition(":")[0] in listed:
        return True
    return any(_continues(model, name) for name in listed)


def _continues(model: str, name: str) -> bool:
    """`x-20250929`, `x@20250929`, `x-001` and `x:latest` are versions of what `x` and `x-latest` name."""
    stem = model.removesuffix("-latest")
    rest = name.removeprefix(stem)
    return rest != name and (rest == ":latest" or (rest[:1] in ("-", "@") and len(rest) >= SHORTEST_VERSION and rest[1:].isdigit()))
