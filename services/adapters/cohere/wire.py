"""Chat and embeddings: https://docs.cohere.com/reference/chat and https://docs.cohere.com/reference/embed."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..protocol import Exchange, Failure
from .answers import chat_answer, embed_answer
from .convert import chat_body, embed_body
from .errors import failure_of
from .stream import StreamedAnswer


class Cohere:
    """One provider of this protocol; `provider_id` names its own provider_options."""

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id = kind, provider_id

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        body, warnings = chat_body(request, model, self._kind, self._provider_id)
        stream = StreamedAnswer if request.stream else None
        return Exchange("/v2/chat", body, whole=chat_answer, stream=stream, warnings=warnings)

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        body, warnings = embed_body(request, model, self._kind, self._provider_id)
        return Exchange("/v2/embed", body, whole=partial(embed_answer, request=request), warnings=warnings)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        return failure_of(status, headers, body, now)
