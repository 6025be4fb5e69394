"""All services on one application: what `headrace up` runs."""

import os
from pathlib import Path

from bus.application import Application
from services.adapters.app import build as build_adapters
from services.adapters.settings import AdapterSettings
from services.indexer.app import build as build_indexer
from services.indexer.settings import IndexerSettings
from services.meter.app import build as build_meter
from services.meter.settings import MeterSettings
from services.router.app import build as build_router
from services.router.settings import RouterSettings
from services.validator.app import build as build_validator
from services.validator.settings import ValidatorSettings

DATA_DIR = "HEADRACE_METER_DATA_DIR"
INDEX_DIR = "HEADRACE_INDEXER_DATA_DIR"


def build_all(application: Application, data_dir: Path) -> None:
    """Register every service; ledger and index lie in the data directory unless the environment says otherwise."""
    build_router(application, RouterSettings())
    build_adapters(application, AdapterSettings())
    build_validator(application, ValidatorSettings())
    build_meter(application, MeterSettings() if DATA_DIR in os.environ else MeterSettings(data_dir=data_dir))
    build_indexer(application, IndexerSettings() if INDEX_DIR in os.environ else IndexerSettings(data_dir=data_dir))
