"""What a producer wants: chat and embed requests, closed so that a typo is refused by name."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime, Field, field_validator

from .base import Closed, Metadata, RequestId, Tenant
from .content import ChatMessageV1, ToolChoice, ToolV1

Lane = Literal["interactive", "standard", "bulk", "batch"]
LANES: tuple[Lane, ...] = ("interactive", "standard", "bulk", "batch")
DEFAULT_TIMEOUT_S: dict[str, float] = {"interactive": 120, "standard": 3600, "bulk": 86400, "batch": 86400}
MAX_TIMEOUT_S = 86400
"""A deadline lies at most a day after the moment the bus stored the request."""


class RequestFields(Closed):
    """What every kind of request may say. Deadlines are absolute (RFC 3339); `timeout_s` counts seconds from storage."""

    id: RequestId | None = None
    tenant: Tenant | None = None
    route: str | None = Field(default=None, min_length=1, max_length=128)
    model: str | None = Field(default=None, min_length=1, max_length=256)
    lane: Lane | None = None
    deadline: AwareDatetime | None = None
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_cost_usd: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    metadata: Metadata = Field(default_factory=dict)
    provider_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    replay_of: RequestId | None = None

    @field_validator("deadline", mode="before")
    @classmethod
    def _rfc3339_only(cls, value: object) -> object:
        if value is not None and not isinstance(value, (str, datetime)):
            raise ValueError("give an RFC 3339 date-time with an offset, like '2026-12-01T12:00:00Z'")
        return value

    @field_validator("id")
    @classmethod
    def _reserved_id(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("seq-"):
            raise ValueError("ids that begin with 'seq-' are reserved for requests without an id")
        return value


class OutputV1(Closed):
    """The answer must be JSON under `json_schema`; up to `max_repairs` turns tell the model what was wrong."""

    name: str = Field(default="output", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    """What the answer is for, told to the model."""
    json_schema: dict[str, Any]
    max_repairs: int = Field(default=2, ge=0, le=5)


class SamplingV1(Closed):
    """How to sample; null leaves it to the model."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()
    seed: int | None = None


class ChatRequestV1(RequestFields):
    """Ask a model for the next message of a conversation."""

    messages: tuple[ChatMessageV1, ...] = Field(min_length=1)
    tools: tuple[ToolV1, ...] = ()
    tool_choice: ToolChoice | None = None
    output: OutputV1 | None = None
    sampling: SamplingV1 = SamplingV1()
    stream: bool = False


class EmbedRequestV1(RequestFields):
    """Ask for one vector for each text, in order."""

    input: tuple[str, ...] = Field(min_length=1)
    dimensions: int | None = Field(default=None, ge=1)
    encoding: Literal["float", "base64"] = "float"


Request = ChatRequestV1 | EmbedRequestV1
KINDS: dict[str, type[ChatRequestV1] | type[EmbedRequestV1]] = {"chat": ChatRequestV1, "embed": EmbedRequestV1}
