"""What every contract shares: frozen models, closed for what people write, open for what services write."""

import re
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints
from pydantic.config import ExtraValues

TENANT = re.compile(r"^[a-z0-9_-]{1,32}\Z")
REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}\Z")
DOCUMENT_ID = REQUEST_ID
PROVIDER_ID = re.compile(r"^[a-z0-9_-]{1,32}\Z")

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]
DocumentId = RequestId
"""Of collections too: both are tokens of a subject."""
MetadataText = Annotated[str, StringConstraints(max_length=256)]


def _metadata_bytes(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if len(key.encode()) > 256 or len(text.encode()) > 256:
            raise ValueError(f"key {key[:32]!r}: keys and values are at most 256 bytes each")
    return value


Metadata = Annotated[dict[MetadataText, MetadataText], Field(max_length=16), AfterValidator(_metadata_bytes)]


def plain_decimal(value: Decimal) -> str:
    """Without an exponent: `str(Decimal("2.4E-7"))` would put one into JSON."""
    return f"{value:f}"


Usd = Annotated[Decimal, PlainSerializer(plain_decimal, return_type=str, when_used="json")]
"""Money in JSON: a plain decimal string, exact."""


class Closed(BaseModel):
    """Written by producers and operators: an unknown field is refused by name, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Open(BaseModel):
    """Written by services: unknown fields are ignored, so that versions can roll. That holds for closed models inside, too."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)

    @classmethod
    def model_validate(cls, obj: Any, *, extra: ExtraValues | None = "ignore", **options: Any) -> Self:
        return super().model_validate(obj, extra=extra, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, *, extra: ExtraValues | None = "ignore", **options: Any) -> Self:
        return super().model_validate_json(json_data, extra=extra, **options)
