"""OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses, as it is spoken by others too."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..conversion import Unconvertible
from ..openai.errors import failure_of
from ..protocol import Exchange, Failure
from .answers import chat_answer
from .convert import chat_body
from .quirks import Quirks
from .stream import StreamedResponse


class Responses:
    """One provider of this protocol; `provider_id` names its own provider_options. `options.api_version`: Azure's addresses before "/openai/v1" want one."""

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id = kind, provider_id
        version = (options or {}).get("api_version")
        self._path = Quirks.model_validate(kind.settings).path + (f"?api-version={version}" if version else "")

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        body, warnings = chat_body(request, model, self._kind, self._provider_id)
        structured = request.output is not None
        whole = partial(chat_answer, by=self._kind.type, structured=structured)
        stream = partial(StreamedResponse, self._kind.type, structured=structured) if request.stream else None
        return Exchange(self._path, body, whole=whole, stream=stream, warnings=warnings)

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        raise Unconvertible(f"{self._kind.type} has no embeddings: the Responses API makes none; send the request to a provider of chat completions")

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        return failure_of(status, headers, body, now)
