"""OpenAI's chat completions and embeddings, and every provider that speaks like them."""

from tests.corpus.chat_completions import asked, rebuild, said
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording

differences = asked.differences
accepted = asked.accepted
recorded_request = rebuild.recorded_request
REASONS = {"batch": "batch API", "models": "description of one model on the hub"}
FAMILY = frozenset({"openai", "huggingface", "mistral", "groq", "openrouter", "azure", "xai", "deepseek"})


def claims(recording: Recording) -> bool:
    if recording.kind in REASONS:
        return recording.provider in FAMILY
    return recording.provider != "cohere" and recording.route.endswith(("/chat/completions", "/embeddings"))


def case(recording: Recording) -> Case | NotApplicable:
    if recording.kind in REASONS:
        return NotApplicable(REASONS[recording.kind])
    return rebuild.case(recording)


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    return said.expected(recording)
