"""The only I/O of the protocols spoken over aiohttp: one HTTP call, and every way in which it can end."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import aiohttp
from pydantic_core import PydanticSerializationError, from_json, to_json
from yarl import URL

from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from observability.redaction import MIN_SECRET, free_text, without_secrets

from .batches import after_others, batches_of, joined
from .conversion import Unconvertible
from .protocol import Answer, DeltaPiece, Exchange, Failure, Looked, OnDelta, WireProtocol
from .streaming import Stalled, Waits, is_stream, read_stream, words
from .whole import tell_whole

CONNECT_S = 10.0
NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
LARGE_BYTES = 1 << 20
"""aiohttp wants larger bodies as a file, so that it can yield between writes."""
MAX_MESSAGE = 500
MAX_REFUSAL_BYTES = 64 * 1024
HOST = "host:"
"""Begins a path that stands below the host, not below base_url."""
Authorize = Callable[[str, bytes], Awaitable[Mapping[str, str]]]
"""Headers that prove who asks, for a URL and a body; awaited before each call. Raises NotAuthorized."""
Renew = Callable[[], None]
"""The credential was refused: the next headers are to be fresh ones. The call is made once more."""


class NotAuthorized(Exception):
    """No credential could be had; says what to do."""


class Reply(NamedTuple):
    """An answer whose status line has come. `body`: read already, as an SDK does with refusals."""

    response: aiohttp.ClientResponse
    body: bytes | None = None


Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[Reply]]
"""Makes the request; raises what aiohttp raises."""


async def post(session: aiohttp.ClientSession, url: str, payload: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
    """One POST, as every call is made: no redirects, no limit of its own but on connecting."""
    target = _url(url)
    body = payload if len(payload) <= LARGE_BYTES else io.BytesIO(payload)

    return await session.post(target, data=body, headers=headers, allow_redirects=False, timeout=NO_LIMIT)


def _url(url: str) -> URL:
    try:
        return URL(url, encoded="%" in url)
    except ValueError as error:
        raise aiohttp.InvalidURL(url, str(error)) from error


def _origin(base_url: str) -> str:
    try:
        return str(URL(base_url).origin())
    except ValueError as error:
        raise aiohttp.InvalidURL(base_url, str(error)) from error


Outcome = TypeVar("Outcome")


class HttpClient:
    """One provider's endpoint. The session is shared; give it a connector without a limit: concurrency is the bus's business."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        protocol: WireProtocol,
        *,
        headers: Mapping[str, str],
        secrets: frozenset[str] = frozenset(),
        authorize: Authorize | None = None,
        renew: Renew | None = None,
        first_token_s: float | None = None,
        idle_s: float | None = None,
        embed_batch: int | None = None,
        post_by: Post | None = None,
        free_headers: Mapping[str, str] | None = None,
    ) -> None:
        """`post_by`: who makes the requests in place of aiohttp, as an SDK does; all else is the same. `free_headers`: what only `look` needs."""
        self._session, self._protocol, self._authorize, self._post_by = session, protocol, authorize, post_by
        self._renew = renew
        self._proofs: tuple[str, ...] = ()
        self._base_url = base_url.strip().rstrip("/")
        self._headers = {"Content-Type": "application/json", **headers}
        self._look_headers = {"Accept": "application/json", **(free_headers or {}), **headers}
        self._secrets = sorted((secret for secret in secrets if len(secret) >= MIN_SECRET), key=len, reverse=True)
        self._waits, self._embed_batch = Waits(first_token_s, idle_s), embed_batch

    async def chat(self, request: ChatRequestV1, model: str, *, timeout_s: float, idempotency_key: str, on_delta: OnDelta | None = None) -> Answer | Failure:
        """Asks for the next message. `on_delta` hears the pieces of a streamed answer; the answer is whole in any case."""
        return await self._call(lambda: self._protocol.chat(request, model), timeout_s, idempotency_key, on_delta if request.stream else None)

    async def embed(self, request: EmbedRequestV1, model: str, *, timeout_s: float, idempotency_key: str) -> Answer | Failure:
        """Asks for one vector for each text, in as many calls as the provider's limit makes of them."""
        batches = batches_of(request, self._embed_batch)
        ends_at = asyncio.get_running_loop().time() + timeout_s
        answers: list[Answer] = []
        for number, batch in enumerate(batches):
            key = idempotency_key if len(batches) == 1 else f"{idempotency_key}-{number}"
            outcome = await self._embed_once(batch, model, ends_at - asyncio.get_running_loop().time(), key)
            if isinstance(outcome, Failure):
                return after_others(outcome, answers)
            answers.append(outcome)
        return joined(answers)

    async def _embed_once(self, request: EmbedRequestV1, model: str, timeout_s: float, idempotency_key: str) -> Answer | Failure:
        return await self._call(lambda: self._protocol.embed(request, model), timeout_s, idempotency_key, None)

    async def look(self, path: str, *, timeout_s: float, read: bool = False) -> Looked:
        """A GET that costs nothing, by aiohttp alone, and no second one where the credential was refused: the next look comes anyway."""
        outcome = await self._ending(timeout_s, lambda: self._look(path, read))
        if isinstance(outcome, Failure):
            return Looked(None, failure=self._redacted(outcome))
        if outcome.failure is not None and outcome.failure.type == "auth" and self._renew is not None:
            self._renew()
        return outcome if outcome.failure is None else replace(outcome, failure=self._redacted(outcome.failure))

    async def _look(self, path: str, read: bool) -> Looked:
        url = _origin(self._base_url) + path.removeprefix(HOST) if path.startswith(HOST) else _joined(self._base_url, path)
        proof = await self._proof(url, b"")
        response = await self._session.get(_url(url), headers={**self._look_headers, **proof}, allow_redirects=False, timeout=NO_LIMIT)
        try:
            if response.status != 200:
                return Looked(response.status, failure=await self._refused(response, None))
            return Looked(200, from_json(await response.read(), allow_inf_nan=False) if read else None)
        finally:
            response.close()

    async def _call(self, convert: Callable[[], Exchange], timeout_s: float, idempotency_key: str, on_delta: OnDelta | None) -> Answer | Failure:
        try:
            exchange = convert()
            payload = to_json(exchange.body)
        except (Unconvertible, PydanticSerializationError) as error:
            return Failure("invalid_request", str(error)[:MAX_MESSAGE], usage_known_zero=True)
        outcome = await self._within(timeout_s, exchange, payload, idempotency_key, on_delta)
        return _warned(outcome, exchange.warnings) if isinstance(outcome, Answer) else self._redacted(outcome)

    async def _within(self, timeout_s: float, exchange: Exchange, payload: bytes, idempotency_key: str, on_delta: OnDelta | None) -> Answer | Failure:
        async def dial() -> Answer | Failure:
            outcome = await self._dial(exchange, payload, idempotency_key, on_delta)
            if self._renew is not None and isinstance(outcome, Failure) and outcome.type == "auth":
                self._renew()
                outcome = await self._dial(exchange, payload, idempotency_key, on_delta)
            return outcome

        return await self._ending(timeout_s, dial)

    async def _ending(self, timeout_s: float, dial: Callable[[], Awaitable[Outcome]]) -> Outcome | Failure:
        """Every way in which the network can end a call; `expired` is told from a timeout that the transport raised itself."""
        clock = asyncio.timeout(max(0.0, timeout_s))
        try:
            async with clock:
                return await dial()
        except NotAuthorized as error:
            return Failure("auth", str(error), usage_known_zero=True)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Failure("unavailable", f"cannot connect: {words(error)}", usage_known_zero=True)
        except TimeoutError as error:
            if clock.expired():
                return Failure("timeout", f"no complete answer within {timeout_s:g} s")
            return Failure("timeout", f"the connection timed out: {words(error)}")
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            return Failure("unavailable", f"base_url cannot be dialled: {words(error)}; correct it in the configuration", usage_known_zero=True)
        except (aiohttp.ClientError, OSError) as error:
            return Failure("unavailable", f"the connection broke before the whole answer came: {words(error)}")
        except ValueError as error:
            return Failure("unavailable", f"the provider's answer is not JSON ({words(error)}); check that base_url is right")

    async def _dial(self, exchange: Exchange, payload: bytes, idempotency_key: str, on_delta: OnDelta | None) -> Answer | Failure:
        url = _joined(self._base_url, exchange.path)
        headers = {**self._headers, "Idempotency-Key": idempotency_key, **exchange.headers}
        headers.update(await self._proof(url, payload))
        response, body = await self._post(url, payload, headers, self._waits.first_token_s if exchange.stream else None)
        try:
            if response.status != 200:
                return await self._refused(response, body)
            if exchange.stream is not None and is_stream(response):
                return await read_stream(response, exchange, exchange.stream(), on_delta or _ignore, self._waits)
            answer = exchange.whole(from_json(await response.read(), allow_inf_nan=False))
            if on_delta is not None and isinstance(answer, Answer) and answer.message is not None:
                tell_whole(answer.message, on_delta)
            return answer
        finally:
            response.close()  # a response that was read to its end has given its connection back already

    async def _proof(self, url: str, payload: bytes) -> Mapping[str, str]:
        """The headers that prove who asks, where a key in a header is not enough."""
        if self._authorize is None:
            return {}
        proof = await self._authorize(url, payload)
        self._proofs = tuple(value.removeprefix("Bearer ") for value in proof.values() if len(value) >= MIN_SECRET)
        return proof

    async def _post(self, url: str, payload: bytes, headers: Mapping[str, str], limit_s: float | None) -> Reply:
        """Ask, and wait for the status line; for that of a stream no longer than for its first bytes."""
        dial = self._post_by(url, payload, headers) if self._post_by is not None else _reply(self._session, url, payload, headers)
        if limit_s is None:
            return await dial
        try:
            async with asyncio.timeout(limit_s) as clock:
                return await dial
        except TimeoutError:
            if clock.expired():
                raise Stalled(f"no first bytes of the stream within {limit_s:g} s") from None
            raise

    async def _refused(self, response: aiohttp.ClientResponse, body: bytes | None) -> Failure:
        if 300 <= response.status < 400:
            where = response.headers.get("Location", "elsewhere")
            return Failure("unavailable", f"the provider redirects to {where[:200]!r}; set that as base_url", str(response.status), usage_known_zero=True)
        if response.status < 300:
            return Failure("unavailable", f"the provider answered HTTP {response.status} where 200 is due", str(response.status))
        if body is None:
            try:
                body = await response.content.read(MAX_REFUSAL_BYTES)
            except aiohttp.ClientError:
                body = b""
        return self._protocol.failure(response.status, response.headers, body, datetime.now(UTC))

    def _redacted(self, failure: Failure) -> Failure:
        """Secrets out, and no longer than a message may be: providers echo keys."""
        message, code = failure.message, failure.provider_code
        for secret in (*self._proofs, *self._secrets):
            message = message.replace(secret, "***")
            code = code.replace(secret, "***") if code else code
        return replace(failure, message=free_text(message)[:MAX_MESSAGE], provider_code=without_secrets(code)[:100] if code else code)


async def _reply(session: aiohttp.ClientSession, url: str, payload: bytes, headers: Mapping[str, str]) -> Reply:
    return Reply(await post(session, url, payload, headers))


def _joined(base_url: str, path: str) -> str:
    """Some write a version ("/v1") at the end of base_url that the protocol's own path begins with: it is said once."""
    version, slash, rest = path.removeprefix("/").partition("/")
    return f"{base_url}/{rest}" if slash and version.startswith("v") and base_url.endswith(f"/{version}") else base_url + path


def _ignore(_: DeltaPiece) -> None:
    return None


def _warned(answer: Answer, warnings: tuple[WarningV1, ...]) -> Answer:
    return replace(answer, warnings=(*warnings, *answer.warnings)) if warnings else answer
