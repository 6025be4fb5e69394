"""Converse and ConverseStream: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from urllib.parse import quote

from catalog.kinds import ProviderKind
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..conversion import Unconvertible
from ..protocol import Exchange, Failure
from .answers import converse_answer
from .convert import converse_body
from .errors import failure_of
from .framing import EventStreamReader
from .stream import StreamedConverse


class Converse:
    """One provider of this protocol; `provider_id` names its own provider_options."""

    def __init__(self, kind: ProviderKind, provider_id: str | None = None, options: Mapping[str, str] | None = None) -> None:
        self._kind, self._provider_id = kind, provider_id

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        asked = converse_body(request, model, self._kind, self._provider_id)
        operation = "converse-stream" if request.stream else "converse"
        return Exchange(
            f"/model/{quote(model, safe='')}/{operation}",
            asked.body,
            whole=partial(converse_answer, output_tool=asked.output_tool),
            stream=partial(StreamedConverse, asked.output_tool) if request.stream else None,
            framing=EventStreamReader,
            warnings=asked.warnings,
        )

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        raise Unconvertible(f"{self._kind.type}: Converse has no embeddings; send the request to another provider")

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        return failure_of(status, headers, body, now)
