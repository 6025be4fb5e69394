"""What an operator may set for the indexer."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IndexerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_INDEXER_")

    data_dir: Path = Path()
    """Where the default index lies."""
    index_url: str | None = None
    """`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`."""
    embeddings: str | None = None
    """`wordllama`, `off`, or a route of the configuration; unset: `wordllama` where it is installed, else `off`."""
    results_days: float = Field(default=90, gt=0)
    """For so long results are found after they were finished. Documents are found until they are deleted or expire."""
    slots: int = Field(default=256, ge=1, le=1000)
    """Documents handled at the same time; together they are one transaction."""

    memory_mb: int = Field(default=1024, ge=1)
    """For vectors: where those of all tenants need more, the tenants that searched longest ago give theirs up and read them again when they search."""

    @property
    def url(self) -> str:
        return self.index_url or f"sqlite:///{self.data_dir / 'headrace-index.db'}"
