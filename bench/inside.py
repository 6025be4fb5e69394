"""The adapters with a provider inside their process: what the bus and the contracts cost when no call leaves it. For the bench only."""

from bus.application import Application, serve
from contracts.content import ChatMessageV1, TextPart
from contracts.outcome import UsageV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.app import build
from services.adapters.protocol import Answer, Client, Failure, Looked, OnDelta
from services.adapters.settings import AdapterSettings


class Inside:
    """Answers at once, without a network."""

    async def chat(self, request: ChatRequestV1, model: str, *, timeout_s: float, idempotency_key: str, on_delta: OnDelta | None = None) -> Answer | Failure:
        usage = UsageV1(input_tokens=len(request.messages) * 100, output_tokens=20)
        message = ChatMessageV1(role="assistant", parts=(TextPart(content=f"answered {idempotency_key}"),))
        return Answer(message, finish_reason="stop", usage=usage, response_model=model, response_id=idempotency_key)

    async def embed(self, request: EmbedRequestV1, model: str, *, timeout_s: float, idempotency_key: str) -> Answer | Failure:
        return Answer(embeddings=[[1.0] for _ in request.input], usage=UsageV1(input_tokens=len(request.input), output_tokens=0), response_model=model)

    async def look(self, path: str, *, timeout_s: float, read: bool = False) -> Looked:
        return Looked(200)


def _build(app: Application, settings: AdapterSettings) -> None:
    def inside(*_: object) -> Client:
        return Inside()

    build(app, settings, client_of=inside)


if __name__ == "__main__":
    serve("adapters", _build, AdapterSettings)
