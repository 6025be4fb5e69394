"""Every recording through the adapter that could have caused it, and what came of each."""

import asyncio
import importlib
import pkgutil
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from catalog.kinds import kind_of
from contracts.config import ProviderV1
from contracts.request import ChatRequestV1
from services.adapters.clients import client_of
from services.adapters.protocol import Answer, DeltaPiece, Failure
from tests.corpus import protocols
from tests.corpus.comparing import Difference, outcome_differences
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording
from tests.corpus.serving import Replay, replaying

TIMEOUT_S = 30.0
AT_ONCE = 16
KEY = "key-of-nobody-0123456789"


class Judge(Protocol):
    """A module of `protocols`: what a recording of its wire protocol asks and says.

    It may also have `extra(answer)`, which picks out of an Answer what Expected.extra names, `recorded_request(recording)`, which
    gives the request to compare with where it is not the recorded one as it stands, and `ENVIRON`, further environment variables
    of a client (credentials of nobody).
    """

    def claims(self, recording: Recording) -> bool: ...
    def case(self, recording: Recording) -> Case | NotApplicable: ...
    def expected(self, recording: Recording) -> Expected | ExpectedFailure | NotApplicable: ...
    def differences(self, recorded_request: Any, sent_request: Any) -> list[str]: ...
    def accepted(self, sent_request: Any) -> str | None: ...


@dataclass(frozen=True)
class Verdict:
    """What came of one recording: replayed, or not applicable for a reason; and every field that is not as it should be."""

    recording: Recording
    not_applicable: str | None = None
    differences: tuple[Difference, ...] = ()
    request_matched: bool = False

    @property
    def replayed(self) -> bool:
        return self.not_applicable is None and not any(field in ("unclaimed", "claimed twice", "exception") for field, _ in self.differences)

    @property
    def equal(self) -> bool:
        return self.replayed and not self.differences


def judges() -> Mapping[str, Judge]:
    """All modules of `protocols`, by name."""
    names = [found.name for found in pkgutil.iter_modules(protocols.__path__) if not found.name.startswith("_")]
    return {name: importlib.import_module(f"{protocols.__name__}.{name}") for name in names}


async def verdicts(folder: Path, recorded: Sequence[Recording]) -> list[Verdict]:
    """One verdict for each recording, in their order."""
    known, gate = judges(), asyncio.Semaphore(AT_ONCE)

    async def one(recording: Recording, replay: Replay) -> Verdict:
        claiming = [judge for judge in known.values() if judge.claims(recording)]
        if len(claiming) != 1:
            field = "claimed twice" if claiming else "unclaimed"
            return Verdict(recording, differences=((field, f"{recording.provider} {recording.kind} {recording.method} {recording.route}"),))
        async with gate:
            return await verdict_of(recording, claiming[0], replay)

    async with replaying(folder, recorded) as replay:
        found = await asyncio.gather(*(one(recording, replay) for recording in recorded), return_exceptions=True)
    return [verdict if isinstance(verdict, Verdict) else _raised(recording, verdict) for recording, verdict in zip(recorded, found, strict=True)]


def _raised(recording: Recording, error: BaseException) -> Verdict:
    """A recording that its judge or its adapter stumbled over."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return Verdict(recording, differences=(("exception", f"{type(error).__name__}: {str(error)[:200]} ({Path(at.filename).name}:{at.lineno})"),))


async def verdict_of(recording: Recording, judge: Judge, replay: Replay) -> Verdict:
    case = judge.case(recording)
    expected = case if isinstance(case, NotApplicable) else judge.expected(recording)
    if isinstance(case, NotApplicable) or isinstance(expected, NotApplicable):
        return Verdict(recording, not_applicable=expected.reason if isinstance(expected, NotApplicable) else None)
    pieces: list[DeltaPiece] = []
    outcome = await asked(replay, recording, case, getattr(judge, "ENVIRON", {}), pieces)
    found = list(outcome_differences(expected, outcome, pieces, getattr(judge, "extra", None)))
    request = request_differences(recording, judge, await replay.sent(recording))
    if request and isinstance(outcome, Failure):
        request.append(("failure", f"{outcome.type}: {outcome.message[:200]}"))
    return Verdict(recording, differences=(*found, *request), request_matched=not request)


async def asked(replay: Replay, recording: Recording, case: Case, environ: Mapping[str, str], pieces: list[DeltaPiece]) -> Answer | Failure:
    """The case through the client that the configuration of its provider makes."""
    kind = kind_of(case.provider_type)
    given: dict[str, Any] = {
        "id": "recorded",
        "type": case.provider_type,
        "base_url": "${PROVIDER_URL}",
        "options": case.options,
        "models": [{"id": case.model}],
    }
    if kind.auth not in ("none", "aws", "google"):
        given["api_key"] = "${PROVIDER_KEY}"
    provider = ProviderV1.model_validate(given)
    client = client_of(provider, replay.session, {"PROVIDER_KEY": KEY, "PROVIDER_URL": replay.prefix(recording) + case.base_path, **environ})
    if isinstance(case.request, ChatRequestV1):
        return await client.chat(case.request, case.model, timeout_s=TIMEOUT_S, idempotency_key="recorded/1", on_delta=pieces.append)
    return await client.embed(case.request, case.model, timeout_s=TIMEOUT_S, idempotency_key="recorded/1")


def request_differences(recording: Recording, judge: Judge, sent: list[dict[str, Any]]) -> list[Difference]:
    """How the one request that was sent differs from the recorded one."""
    if len(sent) != 1:
        return [("requests", f"one request is expected, {len(sent)} were sent")]
    asked = sent[0]
    recorded = getattr(judge, "recorded_request", lambda one: one.request)(recording)
    found = [("request", text) for text in judge.differences(recorded, asked["body"])]
    if (refused := judge.accepted(asked["body"])) is not None:
        found.append(("request not accepted by the SDK's types", refused[:500]))
    found += [("path", f"expected {a!r}, got {b!r}") for a, b in [(_path(recording.route), _path(asked["path"]))] if a != b]
    return found


def _path(path: str) -> str:
    return "/" + unquote(path).lstrip("/")


def unclaimed(found: Iterable[Verdict]) -> set[str]:
    """Provider and kind of what no protocol claims."""
    return {f"{verdict.recording.provider}/{verdict.recording.kind}" for verdict in found if any(field == "unclaimed" for field, _ in verdict.differences)}
