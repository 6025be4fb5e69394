"""What the router can be told by its environment."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class RouterSettings(BaseSettings):
    """Environment prefix HEADRACE_ROUTER_. Times in seconds."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_ROUTER_")

    sweep_every_s: float = 0.5
    sweep_after_s: float = 2.0
    """A call is looked at by the sweep when it has waited this long."""
