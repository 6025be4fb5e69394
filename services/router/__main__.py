"""Run the router alone."""

from bus.application import serve
from services.router.app import build
from services.router.settings import RouterSettings

if __name__ == "__main__":
    serve("router", build, RouterSettings)
