"""Recorded traffic of real providers, served over real HTTP: the adapters understand all of it and ask as it was asked."""

import asyncio

import pytest

from tests.corpus.recording import recordings
from tests.corpus.replaying import unclaimed, verdicts
from tests.corpus.run import CORPUS, absent, mismatches

PENDING = frozenset({"local/responses", "azure/responses", "deepseek/responses", "openai/responses", "openrouter/responses", "xai/responses"})
"""Providers, or a provider's kinds, whose protocols have no judge yet."""


@pytest.mark.timeout(300)
@pytest.mark.skipif(absent(CORPUS) is not None, reason=str(absent(CORPUS)))
def test_every_recording_is_equal_or_not_applicable_for_a_reason() -> None:
    found = asyncio.run(verdicts(CORPUS, list(recordings(CORPUS))))
    assert found
    without = {name for name in unclaimed(found) if name not in PENDING and name.partition("/")[0] not in PENDING}
    assert not without, "no protocol claims these; write their judge in tests/corpus/protocols"
    wrong = [verdict for verdict in found if verdict.differences and verdict.differences[0][0] != "unclaimed"]
    assert not wrong, "\n".join(mismatches(wrong))
