"""What the adapters can be told by their environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AdapterSettings(BaseSettings):
    """Environment prefix HEADRACE_ADAPTERS_."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_ADAPTERS_")

    health_interval_s: float = Field(default=30.0, ge=0, le=3600)
    """Seconds between two checks of a provider, ±20 %; 0: none are made."""
    journal: bool = True
    """Off only to show what the journal prevents: a call may then be dialled twice."""
