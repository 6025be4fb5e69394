"""generateContent and embeddings: https://ai.google.dev/api/generate-content, and the same models on Vertex AI."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from urllib.parse import quote

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..protocol import Exchange, Failure, WireProtocol
from .answers import chat_answer
from .convert import chat_body
from .errors import failure_of
from .stream import StreamedAnswer, listed_answer
from .vectors import batch_body, cloud_body, embed_answer, predict_body, settings_of


class Gemini:
    """The Gemini API; `provider_id` names its own provider_options."""

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id, self._options = kind, provider_id, options or {}

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        body, warnings = chat_body(request, model, self._kind, self._provider_id)
        if request.stream:
            return Exchange(f"{self._path(model)}:streamGenerateContent?alt=sse", body, whole=listed_answer, stream=StreamedAnswer, warnings=warnings)
        return Exchange(f"{self._path(model)}:generateContent", body, whole=chat_answer, warnings=warnings)

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        settings, warnings = settings_of(request, self._kind, self._provider_id)
        read = partial(embed_answer, request=request)
        return Exchange(f"{self._path(model)}:batchEmbedContents", batch_body(request, model, settings), whole=read, warnings=warnings)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        return failure_of(status, headers, body, now)

    def _path(self, model: str) -> str:
        """Tuned models are named with their folder."""
        return "/" + quote(model if "/" in model else f"models/{model}")


class Vertex(Gemini):
    """The same models on Vertex AI. Without a project its express mode is meant, which takes an API key."""

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        settings, warnings = settings_of(request, self._kind, self._provider_id)
        if "gemini" in model:
            method, body = cloud_body(request, settings)
        else:
            method, body = "predict", predict_body(request, settings)
        return Exchange(f"{self._path(model)}:{method}", body, whole=partial(embed_answer, request=request), warnings=warnings)

    def _path(self, model: str) -> str:
        """`publisher/model` names another publisher's, `endpoints/…` a tuned model's endpoint, `projects/…` the whole of it."""
        if model.startswith("projects/"):
            return "/" + quote(model)
        named = model if model.startswith(("publishers/", "endpoints/")) else "publishers/{}/models/{}".format(*_published(model))
        project, location = self._options.get("project"), self._options.get("location", "global")
        return "/" + quote(f"projects/{project}/locations/{location}/{named}" if project else named)


def _published(model: str) -> tuple[str, str]:
    publisher, _, name = model.rpartition("/")
    return publisher or "google", name


def google(kind: ProviderKind, provider_id: str, options: Mapping[str, str]) -> WireProtocol:
    """The Gemini API, or Vertex AI where the kind's settings say `cloud`."""
    return (Vertex if kind.settings.get("cloud") else Gemini)(kind, provider_id, options)
