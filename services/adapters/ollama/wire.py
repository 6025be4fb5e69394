"""Chat and embeddings: https://docs.ollama.com/api/chat and https://docs.ollama.com/api/embed."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..lines import LineReader
from ..openai.errors import failure_of
from ..protocol import Exchange, Failure
from .answers import chat_answer, embed_answer
from .convert import chat_body, embed_body
from .stream import StreamedAnswer


class Ollama:
    """One provider of this protocol; `provider_id` names its own provider_options."""

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id = kind, provider_id

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        body, warnings = chat_body(request, model, self._kind, self._provider_id)
        stream = StreamedAnswer if request.stream else None
        return Exchange("/api/chat", body, whole=chat_answer, stream=stream, framing=LineReader, warnings=warnings)

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        body, warnings = embed_body(request, model, self._kind, self._provider_id)
        return Exchange("/api/embed", body, whole=partial(embed_answer, request=request), warnings=warnings)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        """`{"error": "words"}`, as the compatible servers send it too."""
        return failure_of(status, headers, body, now)
