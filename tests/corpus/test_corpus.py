"""Recorded traffic of real providers, served over real HTTP: the adapters understand all of it and ask as it was asked."""

import asyncio

import pytest

from services.adapters.protocol import Answer, Failure
from tests.corpus.recording import Case, Recording, recordings
from tests.corpus.replaying import Judge, asked, judges, unclaimed, verdicts
from tests.corpus.run import CORPUS, absent, mismatches
from tests.corpus.serving import replaying

pytestmark = pytest.mark.skipif(absent(CORPUS) is not None, reason=str(absent(CORPUS)))


@pytest.mark.timeout(300)
def test_every_recording_is_equal_or_not_applicable_for_a_reason() -> None:
    found = asyncio.run(verdicts(CORPUS, list(recordings(CORPUS))))
    assert found
    assert not unclaimed(found), "no protocol claims these; write their judge in tests/corpus/protocols"
    wrong = [verdict for verdict in found if verdict.differences]
    assert not wrong, "\n".join(mismatches(wrong))


def shortest_streams() -> list[tuple[Recording, Judge, Case]]:
    """The shortest whole recorded stream of each provider in each of its protocols, with its case."""
    found: dict[tuple[str, str], tuple[Recording, Judge, Case]] = {}
    for recording in sorted(recordings(CORPUS), key=lambda one: len(one.response)):
        if "stream" not in recording.features or recording.status != 200:
            continue
        for name, judge in judges().items():
            if (key := (recording.provider, name)) in found or not judge.claims(recording):
                continue
            if isinstance(case := judge.case(recording), Case) and getattr(case.request, "stream", False):
                found[key] = recording, judge, case
    return list(found.values())


def test_recorded_streams_split_at_every_byte_are_the_same_and_cut_ones_are_failures() -> None:
    chosen = shortest_streams()
    assert len(chosen) > 10

    async def check() -> None:
        async with replaying(CORPUS, [recording for recording, _, _ in chosen]) as replay:
            for recording, judge, case in chosen:

                async def ask(recording: Recording = recording, case: Case = case, judge: Judge = judge) -> Answer | Failure:
                    return await asked(replay, recording, case, getattr(judge, "ENVIRON", {}), [])

                whole = await ask()
                await replay.shape(recording, chunk=1)
                assert await ask() == whole, recording.id
                for third in (1, 2):
                    await replay.shape(recording, cut_after=len(recording.response) * third // 4, delay_s=0.02)
                    cut = await ask()
                    assert isinstance(cut, Failure) and cut.type == "truncated_stream", (recording.id, cut)

    asyncio.run(check())
