"""Chat completions and embeddings: https://platform.openai.com/docs/api-reference/chat, as many servers speak them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from urllib.parse import quote

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..protocol import Exchange, Failure
from .answers import chat_answer
from .convert import chat_body, embed_body
from .errors import failure_of
from .quirks import Quirks
from .stream import StreamedAnswer
from .vectors import embed_answer


class OpenAI:
    """One provider of this protocol; `provider_id` names its own provider_options."""

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id = kind, provider_id
        self._quirks = Quirks.model_validate(kind.settings)
        self._names = {**self._quirks.defaults, **(options or {})}

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        body, warnings = chat_body(request, model, self._kind, self._provider_id)
        stream = StreamedAnswer if request.stream else None
        return Exchange(self._path(self._quirks.chat_path, model), body, whole=chat_answer, stream=stream, warnings=warnings)

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        body, warnings = embed_body(request, model, self._kind, self._provider_id)
        return Exchange(self._path(self._quirks.embed_path, model), body, whole=partial(embed_answer, request=request), warnings=warnings)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        found = failure_of(status, headers, body, now)
        own = self._quirks.error_codes.get(found.provider_code or "")
        return found if own is None else replace(found, type=own)

    def _path(self, template: str, model: str) -> str:
        return template.format_map({**self._names, "model": quote(model, safe="")}) if "{" in template else template
