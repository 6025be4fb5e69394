"""Run the meter alone: `python -m services.meter`."""

from bus.application import serve
from services.meter.app import build
from services.meter.settings import MeterSettings

if __name__ == "__main__":
    serve("meter", build, MeterSettings)
