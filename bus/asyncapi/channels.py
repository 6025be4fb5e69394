"""The channels of the bus as data, in the order of travel: subject, messages, who sends and who receives."""

from dataclasses import dataclass

from bus.subjects import Subjects

PRODUCER, CONSUMER, OPERATOR = "producer", "consumer", "operator"
USERS = (PRODUCER, CONSUMER, OPERATOR)
ROUTER, ADAPTERS, VALIDATOR, METER, INDEXER = "router", "adapter", "validator", "meter", "indexer"
SERVICES = (ROUTER, ADAPTERS, VALIDATOR, METER, INDEXER)

DIRECT_GET = "$JS.API.DIRECT.GET."
PUBLISH_ACK, RESULT_REPLY, QUERY_REPLY, FOUND, INDEXED = "publishAck", "storedResult", "answer", "searchAnswer", "indexAnswer"


@dataclass(frozen=True)
class Channel:
    """What travels on one pattern of subjects. `address` is None for a reply's inbox."""

    name: str
    address: str | None
    messages: tuple[str, ...]
    about: str
    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    stream: str | None = None
    reply: str | None = None
    """The channel on which the server or a service answers."""


TENANT, REQUEST_ID, LANE, N = "{tenant}", "{request_id}", "{lane}", "{n}"
ANY_REQUEST = ("request.chat", "request.embed", "request.cloud_event")


def channels(root: str = "llm") -> tuple[Channel, ...]:
    """Every channel, with `{parameter}` where a subject's token varies."""
    subjects = Subjects(root)
    return (*_asked(subjects), *_worked_on(subjects), *_answered(subjects), *_operated(subjects), *_replies())


def _asked(s: Subjects) -> tuple[Channel, ...]:
    """What producers send."""
    return (
        Channel(
            "requestInLane",
            s.request(TENANT, "{kind}", LANE),
            ANY_REQUEST,
            "A request. Publish with an ack awaited: a request that brings no id has the id `seq-<seq of the ack>`. The lane's token keeps lanes apart.",
            (PRODUCER,),
            (ROUTER,),
            "REQUESTS",
            PUBLISH_ACK,
        ),
        Channel(
            "request",
            s.request(TENANT, "{kind}"),
            ANY_REQUEST,
            "A request whose lane stands in its body, or is `standard`.",
            (PRODUCER,),
            (ROUTER,),
            "REQUESTS",
            PUBLISH_ACK,
        ),
        Channel(
            "document",
            s.document(TENANT, "{collection}", "{document_id}"),
            ("document",),
            "A document to be found by search, replaced or taken out: the last one stored on a subject holds.",
            (PRODUCER,),
            (INDEXER,),
            "DOCUMENTS",
            PUBLISH_ACK,
        ),
        Channel("cancel", s.cancel(TENANT, REQUEST_ID), ("cancel",), "Ends a request, begun or not.", (PRODUCER,), (ROUTER, ADAPTERS), "CANCELS", PUBLISH_ACK),
    )


def _worked_on(s: Subjects) -> tuple[Channel, ...]:
    """What services tell each other."""
    return (
        Channel(
            "call",
            s.call("{provider}", LANE, TENANT, REQUEST_ID, N),
            ("call",),
            "The router's command to ask one provider once. The provider `later` holds calls until their time.",
            (ROUTER, ADAPTERS),
            (ADAPTERS, ROUTER),
            "CALLS",
        ),
        Channel(
            "begun",
            s.begun(TENANT, REQUEST_ID, N),
            ("call_begun",),
            "The claim on a call, before the provider is dialled.",
            (ADAPTERS, ROUTER),
            (),
            "JOURNAL",
        ),
        Channel("lease", s.lease("{duty}"), ("lease",), "Which process has a duty that only one may have, for a while.", (ADAPTERS,), (), "JOURNAL"),
        Channel(
            "attempt",
            s.attempt("{outcome}", LANE, TENANT, REQUEST_ID, N),
            ("attempt",),
            "One call ended. The meter reads all, the router the failed ones, the validator those that were answered.",
            (ADAPTERS, ROUTER),
            (ROUTER, VALIDATOR, METER),
            "ATTEMPTS",
        ),
        Channel("verdict", s.verdict(LANE, TENANT, REQUEST_ID, N), ("verdict",), "Ask again: the answer did not hold.", (VALIDATOR,), (ROUTER,), "VERDICTS"),
    )


def _answered(s: Subjects) -> tuple[Channel, ...]:
    """What consumers read."""
    return (
        Channel(
            "delta",
            s.delta(TENANT, REQUEST_ID),
            ("delta",),
            "A piece of a streamed answer. `(n, seq)` orders; a higher `n` discards what lower ones brought; a gap means: read the result.",
            (ADAPTERS,),
            (CONSUMER,),
            "DELTAS",
        ),
        Channel(
            "settle",
            s.settle(TENANT, REQUEST_ID),
            ("result",),
            "Where services publish a result, expecting no message on its `result` subject. The stream stores it as `result`.",
            (ROUTER, VALIDATOR),
            (),
            "RESULTS",
        ),
        Channel(
            "result",
            s.result(TENANT, REQUEST_ID),
            ("result",),
            "How a request ended, heard once by a plain subscription. Subscribe before you publish, or read what is stored: `resultByDirectGet`.",
            (),
            (CONSUMER, INDEXER),
            "RESULTS",
        ),
        Channel(
            "resultByDirectGet",
            f"{DIRECT_GET}RESULTS.{s.result(TENANT, REQUEST_ID)}",
            ("empty",),
            "Asks the server for a stored result. The reply is the result, or status 404 while there is none.",
            (CONSUMER,),
            (),
            None,
            RESULT_REPLY,
        ),
        Channel("search", s.query("search." + TENANT), ("search",), "Looks for documents and results of the tenant.", (CONSUMER,), (INDEXER,), None, FOUND),
        Channel(
            "indexed",
            s.query("indexed." + TENANT),
            ("index_question",),
            "How far the tenant's documents are indexed, and which ones stand.",
            (PRODUCER,),
            (INDEXER,),
            None,
            INDEXED,
        ),
        Channel("cost", s.cost(TENANT), ("cost",), "What one call cost. Keep the last of a `call_id`.", (METER,), (OPERATOR,), "COSTS"),
    )


def _operated(s: Subjects) -> tuple[Channel, ...]:
    """What operators read and ask."""
    return (
        Channel("notice", s.notice("{severity}", "{topic}"), ("notice",), "What a person should know and no result says.", SERVICES, (OPERATOR,), "NOTICES"),
        Channel(
            "dead",
            s.dead("{service}", TENANT),
            ("dead_letter",),
            "A message that no service can handle, whole. The tenant is `_` where it is not known.",
            SERVICES,
            (OPERATOR,),
            "DEAD_LETTERS",
        ),
        Channel(
            "query",
            s.query("{what}"),
            ("question",),
            "A question to the service that knows: the meter answers `cost`, the adapters `models` and `providers`.",
            (OPERATOR,),
            (METER, ADAPTERS),
            None,
            QUERY_REPLY,
        ),
        Channel(
            "configuration",
            "$KV.CONFIG.headrace",
            ("config",),
            "The shared configuration, a key of the bucket CONFIG. `${NAME}` stays as it is: no secret travels.",
            (OPERATOR,),
            SERVICES,
            "KV_CONFIG",
            PUBLISH_ACK,
        ),
        Channel(
            "health",
            "$KV.HEALTH.{provider}",
            ("health",),
            "How a provider was at its last check, a key of the bucket HEALTH for each that has a free endpoint. Older than `valid_s` it says nothing.",
            (ADAPTERS,),
            (ROUTER, OPERATOR),
            "KV_HEALTH",
        ),
        Channel(
            "modelListing",
            "$KV.HEALTH.{provider}.models",
            ("model_listing",),
            "The models that a provider listed when it was asked last.",
            (ADAPTERS,),
            (ADAPTERS,),
            "KV_HEALTH",
        ),
    )


def _replies() -> tuple[Channel, ...]:
    """What answers a publish, a direct get and a question."""
    return (
        Channel(PUBLISH_ACK, None, ("publish_ack",), "The server's answer to a publish: stored, or why not."),
        Channel(RESULT_REPLY, None, ("result", "not_found"), "The answer to a direct get."),
        Channel(FOUND, None, ("found",), "What a search found."),
        Channel(INDEXED, None, ("indexed",), "How far the indexer is."),
        Channel(QUERY_REPLY, None, ("answer",), "The answer to a question."),
    )


PARAMETERS: dict[str, str] = {
    "tenant": "Who pays and who may read: ^[a-z0-9_-]{1,32}$",
    "request_id": "The request's id, its idempotency key: ^[A-Za-z0-9_-]{1,64}$",
    "collection": "What the document belongs to, a name of the producer's: ^[A-Za-z0-9_-]{1,64}$",
    "document_id": "The document's id, unique in its collection: ^[A-Za-z0-9_-]{1,64}$",
    "kind": "What is asked for",
    "lane": "How urgent it is",
    "provider": "A provider of the configuration, or `later`: ^[a-z0-9_-]{1,32}$",
    "n": "The number of the call, from 1",
    "outcome": "How the call ended",
    "duty": "What only one process may do at a time",
    "severity": "How bad it is",
    "topic": "What the notice is about, a constant word like `conflict`",
    "service": "Which service could not handle the message",
    "what": "What is asked: `cost`, `models`, `providers`",
}
"""What each token of a subject says."""
