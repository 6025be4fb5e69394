"""Who speaks: the resource that traces and metrics of this process have in common. Names that the environment gives are kept."""

import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

NOT_INSTALLED = "0.0.0+source"


def resource(service: str) -> Resource:
    """`headrace-<service>`, its version and this process, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    own = {"service.name": f"headrace-{service}", "service.version": _version(), "service.instance.id": instance_id()}
    given = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in own.items() if name not in given})


@cache
def instance_id() -> str:
    """Of this process alone: a restarted container has the host name and process number of the one before."""
    return f"{socket.gethostname()}-{uuid4().hex[:12]}"


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:
        return NOT_INSTALLED
