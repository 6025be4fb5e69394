"""Run the validator alone: `python -m services.validator`."""

from bus.application import serve
from services.validator.app import build
from services.validator.settings import ValidatorSettings

if __name__ == "__main__":
    serve("validator", build, ValidatorSettings)
