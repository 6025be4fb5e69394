"""Where the adapters' parts meet."""

import os

from bus.application import Application
from services.adapters.cancels import Cancels
from services.adapters.checking import Checker
from services.adapters.clients import client_of
from services.adapters.handlers import Adapter
from services.adapters.lending import Lender
from services.adapters.providers import MakeClient, Providers
from services.adapters.questions import Questions
from services.adapters.settings import AdapterSettings
from services.adapters.supply import Supply


def build(app: Application, settings: AdapterSettings, *, client_of: MakeClient = client_of) -> None:
    """Register the adapters on an application. `client_of` makes the client of a configured provider."""
    providers, cancels = Providers(os.environ, client_of), Cancels(app.bus)
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
    questions = Questions(app, providers)
    app.query("models", questions.on_models)
    app.query("providers", questions.on_providers)
    app.background(Checker(app, providers, settings).run)
    app.on_stop(providers.close)
