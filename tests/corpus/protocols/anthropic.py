"""Anthropic's Messages API, at Anthropic, behind proxies and on Vertex AI."""

from tests.corpus.messages import asked, rebuild, said
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording

differences = asked.differences
accepted = asked.accepted
extra = said.extra
REASONS = {"batch": "batch API", "count_tokens": "token counting", "models": "listing of models", "files": "files API"}


def claims(recording: Recording) -> bool:
    if recording.kind in REASONS:
        return recording.provider == "anthropic"
    return rebuild.PATH.match(recording.route) is not None or rebuild.VERTEX.match(recording.route) is not None


def case(recording: Recording) -> Case | NotApplicable:
    if recording.kind in REASONS:
        return NotApplicable(REASONS[recording.kind])
    return rebuild.case(recording)


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    return said.expected(recording)
