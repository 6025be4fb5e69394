"""OpenAI's Responses API, and every provider that speaks it."""

import re

from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording
from tests.corpus.responses import asked, rebuild, said

differences = asked.differences
accepted = asked.accepted
extra = said.extra
ENDPOINT = re.compile(r"(?:^|/)responses(?:/|$)")


def claims(recording: Recording) -> bool:
    return ENDPOINT.search(recording.route) is not None


def case(recording: Recording) -> Case | NotApplicable:
    return rebuild.case(recording)


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    return said.expected(recording)
