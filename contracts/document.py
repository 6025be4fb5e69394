"""What a producer wants to find again."""

from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from .base import Closed, DocumentId, Metadata, Tenant


class DocumentV1(Closed):
    """Puts a document into a tenant's index, replaces the one under the same id, or takes it out. The last one stored under a subject holds."""

    id: DocumentId
    operation: Literal["upsert", "delete"] = "upsert"
    tenant: Tenant | None = None
    """The subject says it; where it stands here too, both must agree. So must `collection`."""
    collection: DocumentId | None = None
    uri: str | None = Field(default=None, min_length=1, max_length=2048)
    mime_type: str = Field(default="text/plain", pattern=r"^[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}$")
    content: str | None = None
    title: str | None = Field(default=None, max_length=1024)
    metadata: Metadata = Field(default_factory=dict)
    expires_at: AwareDatetime | None = None
    """From then on it is not found any more."""

    @model_validator(mode="after")
    def _content_of_an_upsert(self) -> Self:
        if (self.content is None) != (self.operation == "delete"):
            raise ValueError("give 'content' with operation 'upsert', and none with 'delete'")
        return self
