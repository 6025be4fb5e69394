"""Run the adapters alone."""

from bus.application import serve
from services.adapters.app import build
from services.adapters.settings import AdapterSettings

if __name__ == "__main__":
    serve("adapters", build, AdapterSettings)
