"""The Messages API: https://platform.claude.com/docs/en/api/messages, at Anthropic, behind proxies and on Vertex AI."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from urllib.parse import quote

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..conversion import Unconvertible
from ..protocol import Exchange, Failure
from .answers import chat_answer
from .convert import chat_body
from .errors import failure_of
from .stream import StreamedMessage


class Messages:
    """One provider of this protocol; `provider_id` names its own provider_options.

    An entry's `settings`: `chat_path` and `stream_path` stand below base_url, with {model} where the model goes and the provider's options;
    `version` goes into the body as `anthropic_version`, in place of the model; `sdk`: Anthropic's own makes the requests, and adds its headers.
    """

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id, self._options = kind, provider_id, {"location": "global", **(options or {})}
        self._path: str = kind.settings.get("chat_path", "/v1/messages")
        self._stream_path: str = kind.settings.get("stream_path", self._path)
        self._version: str | None = kind.settings.get("version")

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        asked = chat_body(request, model, self._kind, self._provider_id)
        body = asked.body
        if self._version is not None:
            body = {"anthropic_version": self._version, **{name: value for name, value in body.items() if name != "model"}}
        return Exchange(
            self._placed(self._stream_path if request.stream else self._path, model),
            body,
            whole=partial(chat_answer, output_tool=asked.output_tool),
            stream=partial(StreamedMessage, asked.output_tool) if request.stream else None,
            headers={"anthropic-beta": ",".join(asked.betas)} if asked.betas else {},
            warnings=asked.warnings,
        )

    def _placed(self, path: str, model: str) -> str:
        try:
            return path.format_map({**self._options, "model": quote(model, safe="@:")})
        except KeyError as missing:
            raise Unconvertible(f"the provider needs 'options.{missing.args[0]}' in the configuration") from None

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        raise Unconvertible(f"{self._kind.type} has no embeddings; send the request to another provider")

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        return failure_of(status, headers, body, now)
