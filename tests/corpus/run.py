"""Recorded provider traffic through the adapters: a table of what was replayed and equal, what is not applicable and why, every mismatch."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.corpus.recording import recordings
from tests.corpus.replaying import Verdict, verdicts

CORPUS = Path(os.environ.get("HEADRACE_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
LISTED = 50


def absent(folder: Path) -> str | None:
    """Why there is nothing to replay in this folder; None: there is."""
    if (folder / "replay.py").is_file() and any(folder.glob("*.jsonl")):
        return None
    return f"no recordings in {str(folder)!r}: give a folder of *.jsonl with its replay.py by CORPUS=folder or HEADRACE_CORPUS"


def summary(found: list[Verdict], seconds: float) -> dict[str, Any]:
    """The last line."""
    replayed = [verdict for verdict in found if verdict.replayed]
    reasons = Counter(verdict.not_applicable for verdict in found if verdict.not_applicable is not None)
    wrong = [verdict for verdict in found if verdict.differences]
    by_provider: dict[str, Counter[str]] = {}
    for verdict in found:
        counts = by_provider.setdefault(verdict.recording.provider, Counter({"recordings": 0, "replayed": 0, "equal": 0, "not_applicable": 0, "mismatches": 0}))
        counts.update(recordings=1, replayed=verdict.replayed, equal=verdict.equal)
        counts.update(not_applicable=verdict.not_applicable is not None, mismatches=bool(verdict.differences))
    return {
        "recordings": len(found),
        "replayed": len(replayed),
        "equal": sum(verdict.equal for verdict in replayed),
        "not_applicable": dict(reasons.most_common()),
        "mismatches": [{"id": verdict.recording.id, "fields": sorted({field for field, _ in verdict.differences})} for verdict in wrong[:LISTED]],
        "mismatched": len(wrong),
        "by_provider": by_provider,
        "requests_matched": sum(verdict.request_matched for verdict in replayed),
        "seconds": round(seconds, 1),
    }


def table(found: list[Verdict]) -> list[str]:
    """One row for each provider, kind and feature; a recording stands in the row of each of its features."""
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    for verdict in found:
        for feature in ("(all)", *verdict.recording.features):
            counts = rows.setdefault((verdict.recording.provider, verdict.recording.kind, feature), Counter())
            counts.update(recorded=1, replayed=verdict.replayed, equal=verdict.equal, na=verdict.not_applicable is not None, wrong=bool(verdict.differences))
    lines = [f"{'provider':12} {'kind':13} {'feature':13} {'recorded':>8} {'replayed':>8} {'equal':>8} {'n/a':>8} {'mismatch':>8}"]
    for (provider, kind, feature), counts in sorted(rows.items()):
        numbers = " ".join(f"{counts[name]:>8}" for name in ("recorded", "replayed", "equal", "na", "wrong"))
        lines.append(f"{provider:12} {kind:13} {feature:13} {numbers}")
    return lines


def reasons(found: list[Verdict]) -> list[str]:
    counted = Counter((verdict.not_applicable, verdict.recording.provider) for verdict in found if verdict.not_applicable is not None)
    return [f"{count:>5}  {provider:12} {reason}" for (reason, provider), count in sorted(counted.items(), key=str)]


def mismatches(found: list[Verdict]) -> list[str]:
    """Each difference by id and field; what no protocol claims only counted."""
    plain = [verdict for verdict in found if verdict.differences and verdict.differences[0][0] != "unclaimed"]
    lines = [f"{verdict.recording.provider} {verdict.recording.id}  {field}: {text}" for verdict in plain for field, text in verdict.differences]
    nobody = Counter(text for verdict in found for field, text in verdict.differences if field == "unclaimed")
    return lines + [f"{count:>5}  unclaimed: {text}" for text, count in sorted(nobody.items())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder of *.jsonl with its replay.py")
    parser.add_argument("--provider", action="append", help="only this provider's recordings; may be given more than once")
    parser.add_argument("--id", action="append", help="only this recording; may be given more than once")
    options = parser.parse_args()
    if (why := absent(options.corpus)) is not None:
        print(why, file=sys.stderr)
        print(json.dumps({"skipped": why}))
        return 0
    recorded = [
        one for one in recordings(options.corpus) if (not options.provider or one.provider in options.provider) and (not options.id or one.id in options.id)
    ]
    began = time.monotonic()
    found = asyncio.run(verdicts(options.corpus, recorded))
    told = summary(found, time.monotonic() - began)
    for title, lines in (("", table(found)), ("Not applicable", reasons(found)), ("Mismatches", mismatches(found))):
        print("\n".join(["", title, *lines] if title and lines else lines))
    print(json.dumps(told))
    return 1 if told["mismatched"] else 0


if __name__ == "__main__":
    sys.exit(main())
