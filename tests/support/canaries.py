"""Words that must not come out: marked keys, prompts and answers, and those that the tests' own providers saw."""

import json
import os
import re
from pathlib import Path
from typing import Literal

Kind = Literal["key", "prompt", "answer"]
FOLDER, COLLECTOR = "HEADRACE_CANARIES", "HEADRACE_CANARIES_OTLP"
"""Set by the run (`canary_run`) for its workers and for every process that tests start."""
PROMPT = "prompt-canary-q7wx3k"
ANSWER = "answer-canary-v4mz8p"
KEY = "keys-canary/r5ty6j"
"""Has no shape of a key: only who knows the value can take it out."""
WORDS: dict[Kind, str] = {"prompt": PROMPT, "answer": ANSWER, "key": KEY}
MIN_LENGTH = 12
WORD = re.compile(r"[A-Za-z0-9]{6,}")
TELEMETRY = {"OTEL_METRIC_EXPORT_INTERVAL": "2000", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
"""A quarter of the requests that came without a trace; a whole one for each would slow the suite's loads."""
CONTENT = (b"gen_ai.input.messages", b"gen_ai.output.messages", b"gen_ai.system_instructions")
"""Attributes that exist only where a tenant's content capture is on."""

_seen: set[tuple[Kind, str]] = set()


def saw(kind: Kind, text: str) -> None:
    """A text that may stand in messages and nowhere else, unless it is too common to tell anything. A marked one is known already."""
    if (kind, text) in _seen or len(text) < MIN_LENGTH or not WORD.search(text) or WORDS[kind] in text or FOLDER not in os.environ:
        return
    _seen.add((kind, text))
    with (Path(os.environ[FOLDER]) / f"seen.{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps([kind, text]) + "\n")


def said(what: str, text: str) -> str:
    """Keep what a process wrote into a pipe, to be looked through like the files of others."""
    if FOLDER in os.environ and text:
        with (Path(os.environ[FOLDER]) / f"said.{os.getpid()}.log").open("a") as file:
            file.write(f"--- {what}\n{text}\n")
    return text


def sent(what: str, telemetry: bytes) -> None:
    """Keep what a test's own collector was sent, unless a tenant wants its content in it."""
    if FOLDER in os.environ and not any(name in telemetry for name in CONTENT):
        with (Path(os.environ[FOLDER]) / "otlp" / f"{what}.{os.getpid()}").open("ab") as file:
            file.write(telemetry + b"\n")


def telemetry() -> dict[str, str]:
    """The environment by which a process sends spans and metrics to this run; none where there is no run."""
    url = os.environ.get(COLLECTOR)
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **TELEMETRY} if url else {"OTEL_SDK_DISABLED": "true"}
