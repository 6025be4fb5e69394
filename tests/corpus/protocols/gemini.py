"""Google's generateContent and embeddings, on the Gemini API and on Vertex AI; judged by google-genai's types."""

from collections.abc import Mapping
from typing import Any

from services.adapters.protocol import Answer
from tests.corpus.generate_content import asked, rebuild, said
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording

ELSEWHERE = ("/chat/completions", "/embeddings")
"""Google's own endpoints in OpenAI's words."""


def claims(recording: Recording) -> bool:
    if rebuild.ROUTE.match(recording.route):
        return True
    google = recording.provider in ("gemini", "vertex") and "/publishers/" not in recording.route.replace("/publishers/google", "")
    return google and not recording.route.endswith(ELSEWHERE)


def case(recording: Recording) -> Case | NotApplicable:
    return rebuild.case(recording)


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    return said.expected(recording)


def extra(answer: Answer) -> Mapping[str, Any]:
    return said.extra(answer)


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    return asked.differences(recorded_request, sent_request)


def accepted(sent_request: Any) -> str | None:
    return asked.accepted(sent_request)
