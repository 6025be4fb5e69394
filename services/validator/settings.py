"""What an operator may set for the validator."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ValidatorSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEADRACE_VALIDATOR_")

    slots: int = Field(default=256, ge=1, le=4096)
    """Attempts handled at the same time, for each lane."""
