"""Vectors of texts: by WordLlama in this process, or by a model that Headrace itself asks."""

import asyncio
import base64
import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from bus.awaiting import NoResult
from bus.client import HeadraceClient, NotStored
from bus.connection import Bus
from bus.errors import TooLarge, Unavailable
from contracts.config import ConfigV1
from contracts.result import ResultV1

log = structlog.get_logger()

WORDLLAMA, OFF = "wordllama", "off"
WORDLLAMA_DIMENSIONS = 256
WAIT_S, URGENT_WAIT_S = 120.0, 10.0
ROUTE_BATCH = 64
HOPELESS = ("invalid_request", "context_too_long", "content_filter", "too_large", "invalid_output")
"""Failures that another try of the same text would meet again."""


class NotNow(Exception):
    """There are no vectors now; later there may be."""


class Untakable(Exception):
    """The model does not take one of these texts."""


class UnusableEmbeddings(ValueError):
    """The setting cannot be followed; the text says what to install or set."""


class Embedder(Protocol):
    """`space` names the model and what else decides about its vectors, None where there is none now; only vectors of one space are compared."""

    batch: int

    @property
    def space(self) -> str | None: ...

    async def embed(self, tenant: str, texts: Sequence[str], *, urgent: bool) -> Any:
        """A matrix of float32, each row of length 1 (or 0). `urgent`: a person waits. Raises NotNow, Untakable."""


class WordLlamaEmbedder:
    """Small static embeddings, 256 numbers, thousands a second on one core."""

    batch = 512
    space = f"wordllama/{WORDLLAMA_DIMENSIONS}"

    def __init__(self) -> None:
        import wordllama

        folder = Path(wordllama.__file__).parent  # its own default looks in another folder than the wheel fills, and then on the network
        self._model = wordllama.WordLlama.load(dim=WORDLLAMA_DIMENSIONS, cache_dir=folder, disable_download=True)

    async def embed(self, tenant: str, texts: Sequence[str], *, urgent: bool) -> Any:
        return self._now(texts) if urgent else await asyncio.to_thread(self._now, texts)

    def _now(self, texts: Sequence[str]) -> Any:
        return normalised(self._model.embed(list(texts)))


class RouteEmbedder:
    """Embed requests of the tenant on a route of the configuration; its first candidate makes all vectors, since those of two models do not compare."""

    batch = ROUTE_BATCH

    def __init__(self, bus: Bus, route: str, config: Callable[[], ConfigV1 | None]) -> None:
        self._bus, self._route, self._config = bus, route, config

    @property
    def space(self) -> str | None:
        model, dimensions = self._model()
        return model and (f"{model}/{dimensions}" if dimensions else model)

    async def embed(self, tenant: str, texts: Sequence[str], *, urgent: bool) -> Any:
        model, dimensions = self._model()
        if model is None:
            raise NotNow(f"route {self._route!r} is not configured: add it under 'routes', or set HEADRACE_INDEXER_EMBEDDINGS")
        body = {"model": model, "input": list(texts), "encoding": "base64", "metadata": {"for": "headrace-indexer"}, "dimensions": dimensions}
        # The same texts under the same id: an indexer that was killed while it waited pays once.
        body["id"] = None if urgent else "index-" + hashlib.sha256("\0".join([str(self.space), *texts]).encode()).hexdigest()[:48]
        wait_s = URGENT_WAIT_S if urgent else WAIT_S
        client = HeadraceClient(self._bus, tenant)
        try:
            result = await client.ask(body | {"timeout_s": wait_s}, "interactive" if urgent else "bulk", wait_s)
        except (NoResult, NotStored, Unavailable) as error:
            raise NotNow(f"{model} did not answer: {type(error).__name__}") from error
        except TooLarge as error:
            raise Untakable("more than one message holds") from error
        return _read(result, len(texts))

    def _model(self) -> tuple[str | None, int | None]:
        """The model of the route's first candidate, and the length of its vectors where it is configured."""
        config = self._config()
        route = config.routes.get(self._route) if config is not None else None
        if config is None or route is None:
            return None, None
        name = route.candidates[0].model
        provider, _, model = name.partition("/")
        found = next((each for one in config.providers if one.id == provider for each in one.models if each.id == model), None)
        return name, found.dimensions if found else None


def embedder_of(setting: str | None, bus: Bus, config: Callable[[], ConfigV1 | None]) -> Embedder | None:
    """What the setting asks for; None for words alone. Raises UnusableEmbeddings."""
    absent = [name for name in ("numpy", WORDLLAMA) if importlib.util.find_spec(name) is None]
    if setting is None and absent:
        log.warning("search_by_words_alone", hint="run pip install 'headrace[search]', or set HEADRACE_INDEXER_EMBEDDINGS=off")
        return None
    if setting == OFF:
        return None
    needed = absent if setting in (None, WORDLLAMA) else [name for name in absent if name == "numpy"]
    if needed:
        raise UnusableEmbeddings(f"HEADRACE_INDEXER_EMBEDDINGS={setting} needs {' and '.join(needed)}: run pip install 'headrace[search]', or set it to 'off'")
    return WordLlamaEmbedder() if setting in (None, WORDLLAMA) else RouteEmbedder(bus, str(setting), config)


def normalised(matrix: Any) -> Any:
    """Rows of length 1, so that a product is a cosine; a row that is no number at all is zero."""
    import numpy

    rows = numpy.nan_to_num(numpy.asarray(matrix, dtype=numpy.float32), posinf=0.0, neginf=0.0)
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    return numpy.divide(rows, lengths, out=numpy.zeros_like(rows), where=lengths > 0)


def _read(result: ResultV1, count: int) -> Any:
    import numpy

    if result.status != "succeeded" or result.embeddings is None:
        kind = result.error.type if result.error else result.status
        raise Untakable(kind) if kind in HOPELESS else NotNow(f"{result.model or 'the model'}: {kind}")
    rows = [numpy.frombuffer(base64.b64decode(each), dtype="<f4") if isinstance(each, str) else each for each in result.embeddings]
    if len(rows) != count or len({len(row) for row in rows}) != 1:
        raise Untakable("the answer does not have one vector of one length for each text")
    return normalised(numpy.stack(rows))
