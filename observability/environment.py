"""OpenTelemetry's environment variables, read for spans and for metrics in one way: what cannot be used is named with its variable."""

from collections.abc import Mapping
from typing import Literal

import structlog

log = structlog.get_logger()

Environment = Mapping[str, str]
Signal = Literal["TRACES", "METRICS"]
PROTOCOLS = ("http/protobuf", "grpc")
SCHEMES = ("http://", "https://")


def ignored(variable: str, value: str, wants: str) -> None:
    """`wants`: what it takes, and what is done instead."""
    log.warning("setting_ignored", variable=variable, value=value[:200], wants=wants)


def exporters(environ: Environment, signal: Signal, known: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `known` that are asked for: `none` alone where it is among them or all is switched off, `otlp` where only an endpoint is given."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ("none",)
    variable = f"OTEL_{signal}_EXPORTER"
    named = tuple(dict.fromkeys(word.strip().lower() for word in environ.get(variable, "").split(",") if word.strip()))
    for word in named:
        if word not in known:
            ignored(variable, word, f"one of {', '.join(known)}, or several with commas between")
    if "none" in named:
        return ("none",)
    if not named and _first(environ, signal, "ENDPOINT") is not None:
        return ("otlp",)
    return tuple(word for word in named if word in known)


def protocol(environ: Environment, signal: Signal) -> str:
    """One of PROTOCOLS."""
    variable, found = _first(environ, signal, "PROTOCOL") or ("", PROTOCOLS[0])
    if found in PROTOCOLS:
        return found
    ignored(variable, found, f"one of {', '.join(PROTOCOLS)}; {PROTOCOLS[0]} is used")
    return PROTOCOLS[0]


def reachable(environ: Environment, signal: Signal) -> bool:
    """Whether what is sent over HTTP has an address that can be one; without any the SDK has its own."""
    found = _first(environ, signal, "ENDPOINT")
    if found is None or found[1].startswith(SCHEMES):
        return True
    ignored(*found, f"a URL that begins with {' or '.join(SCHEMES)}; no {signal.lower()} are sent")
    return False


def whole(environ: Environment, variable: str, default: int) -> int:
    """A number above 0."""
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    ignored(variable, text, f"a whole number above 0; {default} is used")
    return default


def _first(environ: Environment, signal: Signal, what: str) -> tuple[str, str] | None:
    """A variable for this signal, or for all, and what it says."""
    names = (f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}")
    return next(((name, environ[name].strip()) for name in names if environ.get(name, "").strip()), None)
