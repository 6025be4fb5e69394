"""What an operator may set for the meter."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MeterSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_METER_")

    data_dir: Path = Path()
    """Where the default ledger lies."""
    ledger_url: str | None = None
    """`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`."""
    slots: int = Field(default=1000, ge=1, le=4000)
    """Attempts handled at the same time; together they are one transaction."""

    @property
    def url(self) -> str:
        return self.ledger_url or f"sqlite:///{self.data_dir / 'headrace-ledger.db'}"
