"""What the adapters can be told by their environment."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class AdapterSettings(BaseSettings):
    """Environment prefix HEADRACE_ADAPTERS_."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_ADAPTERS_")

    journal: bool = True
    """Off only to show what the journal prevents: a call may then be dialled twice."""
