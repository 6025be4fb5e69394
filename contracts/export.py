"""JSON Schemas of every public message, generated: `python -m contracts.export [--check]`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from .attempt import AttemptFinishedV1
from .base import Closed
from .call import CallBegunV1, CallV1
from .cancel import CancelV1
from .config import ConfigV1
from .cost import CostRecordedV1
from .dead_letter import DeadLetterV1
from .delta import DeltaV1
from .document import DocumentV1
from .health import ModelListingV1, ProviderHealthV1
from .notice import NoticeV1
from .request import ChatRequestV1, EmbedRequestV1
from .result import ResultV1
from .search import FoundV1, IndexedV1, IndexQuestionV1, SearchV1
from .verdict import RepairOrderedV1

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = Path(__file__).with_name("schemas")
EXAMPLES = Path(__file__).with_name("examples")
MESSAGES: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "request.chat": ChatRequestV1,
        "request.embed": EmbedRequestV1,
        "call": CallV1,
        "call_begun": CallBegunV1,
        "attempt": AttemptFinishedV1,
        "verdict": RepairOrderedV1,
        "delta": DeltaV1,
        "result": ResultV1,
        "cost": CostRecordedV1,
        "cancel": CancelV1,
        "document": DocumentV1,
        "search": SearchV1,
        "found": FoundV1,
        "index_question": IndexQuestionV1,
        "indexed": IndexedV1,
        "notice": NoticeV1,
        "dead_letter": DeadLetterV1,
        "config": ConfigV1,
        "health": ProviderHealthV1,
        "model_listing": ModelListingV1,
    }
)
"""Every public message of version 1, in the order of travel."""


class WithDefaults(GenerateJsonSchema):
    """Shows the default of fields whose default is made by a function, too: whoever compares versions needs to know that there is one."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        return super().get_default_value(schema) if factory is None else factory()  # type: ignore[call-arg]  # none of ours takes validated data


def is_closed(name: str) -> bool:
    """Whether producers or operators write this message, so that an unknown field is refused."""
    return issubclass(MESSAGES[name], Closed)


def schema_of(name: str) -> dict[str, Any]:
    """What may be sent (closed), or what is sent (open: every field present, unknown ones allowed at any depth)."""
    mode: Literal["validation", "serialization"] = "validation" if is_closed(name) else "serialization"
    schema = MESSAGES[name].model_json_schema(mode=mode, schema_generator=WithDefaults)
    if not is_closed(name):
        _open(schema)
    return {"$schema": DIALECT, "$id": f"urn:headrace:{name}.v1", **schema}


def text_of(name: str) -> str:
    """The schema as it is committed."""
    return json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"


def outdated() -> list[str]:
    """Names of files under schemas/ that are missing, left over, or differ from what the models say."""
    wanted = {f"{name}.v1.json": text_of(name) for name in MESSAGES}
    found = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.v1.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write() -> None:
    """Bring schemas/ to what the models say."""
    SCHEMAS.mkdir(exist_ok=True)
    for name in outdated():
        message = name.removesuffix(".v1.json")
        if message in MESSAGES:
            (SCHEMAS / name).write_text(text_of(message), encoding="utf-8")
        else:
            (SCHEMAS / name).unlink()


def _open(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("additionalProperties") is False:
            del node["additionalProperties"]
        for value in node.values():
            _open(value)
    elif isinstance(node, list):
        for value in node:
            _open(value)


def main(arguments: list[str]) -> int:
    """Write the schemas, or with `--check` only say which are outdated. Returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m contracts.export [--check]\n")
        return 2
    differing = outdated()
    for name in differing:
        sys.stdout.write(f"{name}: {'outdated; run: python -m contracts.export' if arguments else 'written'}\n")
    if arguments:
        return 1 if differing else 0
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
