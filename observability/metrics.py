"""Every metric of Headrace, by the names, units and labels of docs/observability.md; services record with what stands here."""

from observability.instruments import Counter, Declared, Gauge, Histogram, Instrument

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""From a hop of the bus to a model that thinks for minutes."""
OPERATION_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The GenAI conventions' advice for the duration of an operation."""
CHUNK_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Their advice for the time to the first chunk."""
TOKENS = tuple(float(4**power) for power in range(14))
"""Their advice for numbers of tokens: 1, 4, 16 … 67,108,864."""

INSTRUMENTS: list[Instrument] = []


def _counter(name: str, unit: str, description: str, *labels: str) -> Counter:
    made = Counter(Declared(name, unit, description, labels))
    INSTRUMENTS.append(made)
    return made


def _gauge(name: str, unit: str, description: str, *labels: str) -> Gauge:
    made = Gauge(Declared(name, unit, description, labels))
    INSTRUMENTS.append(made)
    return made


def _histogram(name: str, unit: str, description: str, *labels: str, bounds: tuple[float, ...] = SECONDS) -> Histogram:
    made = Histogram(Declared(name, unit, description, labels), bounds)
    INSTRUMENTS.append(made)
    return made


_OPERATION = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "provider", "error.type")
_QUEUE = ("stream", "consumer", "lane", "provider")

OPERATION_DURATION = _histogram(
    "gen_ai.client.operation.duration", "s", "How long calls to providers took, by how they ended", *_OPERATION, bounds=OPERATION_SECONDS
)
TOKEN_USAGE = _histogram("gen_ai.client.token.usage", "{token}", "Tokens of each call to a provider", *_OPERATION, "gen_ai.token.type", bounds=TOKENS)
TIME_TO_FIRST_CHUNK = _histogram(
    "gen_ai.client.operation.time_to_first_chunk", "s", "How long streamed calls took to their first content", *_OPERATION, bounds=CHUNK_SECONDS
)
PROCESS_DURATION = _histogram(
    "messaging.process.duration",
    "s",
    "How long handlers took, by the consumer whose message it was",
    "messaging.system",
    "messaging.operation.name",
    "messaging.consumer.group.name",
    "error.type",
)
REQUESTS_ACCEPTED = _counter("headrace.requests.accepted", "{request}", "Requests whose first call was stored", "kind", "lane")
REQUEST_DURATION = _histogram("headrace.request.duration", "s", "From a request that is stored to its result that is stored", "kind", "lane", "status")
QUEUE_WAIT = _histogram("headrace.queue.wait", "s", "How long messages waited for their first delivery", "stream", "lane")
QUEUE_DEPTH = _gauge("headrace.queue.depth", "{message}", "Messages not yet delivered", *_QUEUE)
QUEUE_IN_FLIGHT = _gauge("headrace.queue.in_flight", "{message}", "Messages delivered and not yet acknowledged", *_QUEUE)
QUEUE_AGE = _gauge("headrace.queue.age", "s", "Age of the oldest message that is not yet acknowledged", *_QUEUE)
STREAM_MESSAGES = _gauge("headrace.stream.messages", "", "Messages that a stream holds", "stream")
STREAM_BYTES = _gauge("headrace.stream.bytes", "", "Bytes that a stream holds", "stream")
STREAM_BYTES_LIMIT = _gauge("headrace.stream.bytes.limit", "", "Bytes that a stream may hold; absent where it has no limit", "stream")
ATTEMPTS = _counter("headrace.attempts", "{attempt}", "Attempts by how they ended", "provider", "model", "lane", "outcome")
CALLS_IN_FLIGHT = _gauge("headrace.calls.in_flight", "{call}", "Calls that providers are busy with", "provider", "lane")
PROVIDER_HEALTH = _gauge("headrace.provider.health", "", "1 for the state that a provider is in, 0 for the others", "provider", "state")
TOKENS_METERED = _counter("headrace.tokens", "{token}", "Tokens that were metered", "tenant", "provider", "model", "type")
COST_USD = _counter("headrace.cost.usd", "{USD}", "Cost of calls, USD, by what it rests on", "tenant", "provider", "model", "basis")
COST_UNKNOWN = _counter("headrace.cost.unknown", "{call}", "Calls whose price or usage nobody knows", "tenant", "provider", "model")
BUDGET = _gauge("headrace.tenant.budget.usd_per_day", "", "The budget of a tenant as it is configured, USD a day", "tenant")
DEAD_LETTERS = _counter("headrace.dead_letters", "{message}", "Messages that were parked", "service", "reason")
DELIVERIES_RETURNED = _counter("headrace.deliveries.returned", "{message}", "Deliveries that were given back to come again", "consumer", "why")
NOTICES = _counter("headrace.notices", "{notice}", "Notices to people", "severity", "kind")
BUS_CONNECTED = _gauge("headrace.bus.connected", "", "1 while this process is connected to NATS, else 0")
EVENT_LOOP_LAG = _gauge("headrace.event_loop.lag", "s", "By how much the event loop was late at its worst in the last 15 to 30 seconds")
INDEX_DOCUMENTS = _counter("headrace.index.documents", "", "Documents and results that the indexer took in", "operation")
INDEX_CHUNKS = _counter("headrace.index.chunks", "", "Chunks that were embedded, or reused since they had not changed", "outcome")
SEARCH_DURATION = _histogram("headrace.search.duration", "s", "How long searches took")
PROMPT_CACHE_FALLBACKS = _counter("llm_optimizer_fallback", "", "Prompt caching gave up and the plain request went out, by stage", "stage")


def begin() -> None:
    """Record from now on, beginning with nothing."""
    for instrument in INSTRUMENTS:
        instrument.series = {}


def end() -> None:
    """Record nothing any more."""
    for instrument in INSTRUMENTS:
        instrument.series = None
        if isinstance(instrument, Gauge):
            instrument.source = None


def recorded() -> bool:
    """Whether anything is recorded in this process."""
    return BUS_CONNECTED.series is not None
