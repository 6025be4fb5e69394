"""Where the router's parts meet."""

from bus.application import Application
from bus.health import HealthSource
from bus.streams import SERVED_LANES
from contracts.request import LANES
from services.router.calls import Snapshot
from services.router.handlers import SERVICE, Router
from services.router.settings import RouterSettings
from services.router.strays import Strays
from services.router.sweep import Sweep


def build(app: Application, settings: RouterSettings) -> None:
    """Register the router on an application."""
    snapshot = Snapshot(app)
    health = HealthSource(app.bus)
    router = Router(app.bus, snapshot, health.ailing)
    for lane in LANES:
        app.consume("REQUESTS", f"router-{lane}", router.on_request, service=SERVICE)
    for served in SERVED_LANES:
        app.consume("ATTEMPTS", f"router-failed-{served}", router.on_failed, service=SERVICE)
    app.consume("VERDICTS", "router-verdict", router.on_verdict, service=SERVICE)
    app.consume("CANCELS", "router-cancel", router.on_cancel, service=SERVICE)
    app.background(health.run)
    app.background(Sweep(app.bus, snapshot, settings).run)
    app.background(Strays(app, router.on_request).run)
