"""Requests made by Anthropic's SDK over our own session. Imported only where a provider of this protocol is configured: the import takes most of a second."""

import logging
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import aiohttp
import anthropic
import httpx2
from anthropic import Omit, RequestOptions

from ..transport import MAX_REFUSAL_BYTES, Post, Reply, post

UNAUTHORIZED = {"Authorization": Omit()}
"""The SDK would send the key as a bearer token; ours goes where `providers.toml` says."""


def poster(session: aiohttp.ClientSession, base_url: str) -> Post:
    """One POST through the SDK: its headers, its HTTP client, no retries, no spans of its own, and no credential from its environment."""
    logging.getLogger("anthropic").setLevel(logging.WARNING)  # below it the SDK logs each request: prompts, and the key in its header
    http = anthropic.DefaultAioHttpClient(transport=_Session(session), timeout=None, follow_redirects=False, trust_env=False)
    client = anthropic.AsyncAnthropic(api_key="unused", base_url=base_url, http_client=http, max_retries=0, open_telemetry=False)

    async def by_sdk(url: str, payload: bytes, headers: Mapping[str, str]) -> Reply:
        options: RequestOptions = {"headers": {**UNAUTHORIZED, **headers}}
        try:
            answer: object = await client.post(
                url, cast_to=httpx2.Response, content=payload, options=options, stream=True, stream_cls=anthropic.AsyncStream[object]
            )
        except anthropic.APIStatusError as error:
            return Reply(_reply(error.response), error.response.content)
        except anthropic.APIConnectionError as error:
            raise error.__cause__ or error from None
        return Reply(_reply(answer))

    return by_sdk


def _reply(response: object) -> aiohttp.ClientResponse:
    """The SDK gives what `cast_to` names, whatever its types say of streams."""
    found = response.extensions["aiohttp"] if isinstance(response, httpx2.Response) else None
    if not isinstance(found, aiohttp.ClientResponse):
        raise TypeError(f"the SDK gave a {type(response).__name__} that our session did not make")
    return found


class _Session(httpx2.AsyncBaseTransport):
    """The session that all providers share, as the SDK's HTTP client wants it; the answer is read from aiohttp itself, which costs less."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await post(self._session, str(request.url), request.content, request.headers)
        refused = response.status >= HTTPStatus.MULTIPLE_CHOICES
        return httpx2.Response(response.status, stream=_Refusal(response) if refused else None, extensions={"aiohttp": response})


class _Refusal(httpx2.AsyncByteStream):
    """The body of an answer with an error status, which the SDK reads before it raises; no more than that is worth."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield await self._response.content.read(MAX_REFUSAL_BYTES)
        except aiohttp.ClientError:
            return

    async def aclose(self) -> None:
        self._response.close()
