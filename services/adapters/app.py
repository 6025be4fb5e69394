"""Where the adapters' parts meet."""

import os

from bus.application import Application
from services.adapters.cancels import Cancels
from services.adapters.handlers import Adapter
from services.adapters.lending import Lender
from services.adapters.providers import Providers
from services.adapters.settings import AdapterSettings
from services.adapters.supply import Supply


def build(app: Application, settings: AdapterSettings) -> None:
    """Register the adapters on an application."""
    providers, cancels = Providers(os.environ), Cancels(app.bus)
    adapter = Adapter(app.bus, providers, cancels, settings)

    async def begin() -> None:
        await providers.start()
        await cancels.start()
        if app.config.current is not None:
            providers.take(app.config.current, app.config.revision)
        app.config.on_change(lambda config: providers.take(config, app.config.revision))

    supply = Supply(app, adapter.on_call)
    app.on_start(begin)
    app.background(cancels.run)
    app.background(supply.run)
    app.background(Lender(app).run)
    app.on_stop(providers.close)
