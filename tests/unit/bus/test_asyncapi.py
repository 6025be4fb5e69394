"""The AsyncAPI document: current, whole, self-contained, and valid for the official parser."""

import inspect
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from bus.asyncapi.__main__ import main
from bus.asyncapi.channels import DIRECT_GET, PARAMETERS, channels
from bus.asyncapi.document import DOCUMENT, document, is_outdated
from bus.asyncapi.messages import key
from bus.streams import BUCKETS, consumers, streams
from bus.subjects import Subjects
from contracts.export import EXAMPLES, MESSAGES
from tests.support.node import node, program

PARSER = Path(__file__).parents[2] / "support" / "asyncapi"
NOT_A_CHANNEL = {"tokens", "kind", "said", "template", "travels", "any_call", "any_attempt"}
"""Methods of Subjects that read a subject, or make a pattern to search with."""


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return loaded


def test_the_committed_document_is_what_subjects_streams_and_contracts_say() -> None:
    assert not is_outdated(), "run: make schemas"


def test_check_says_with_its_exit_code_whether_all_is_committed() -> None:
    assert main(["--check"]) == 0
    assert main(["--chek"]) == 2


def test_every_subject_has_a_channel(committed: dict[str, Any]) -> None:
    methods = {name: method for name, method in inspect.getmembers(Subjects, inspect.isfunction) if not name.startswith("_")}
    made = {method(Subjects(), *["x"] * required(method)) for name, method in methods.items() if name not in NOT_A_CHANNEL}
    first_tokens = {subject.split(".")[2] for subject in made}
    addresses = {channel["address"].split(".")[2] for channel in committed["channels"].values() if (channel["address"] or "").startswith("llm.")}
    assert addresses == first_tokens


def required(method: Any) -> int:
    return sum(parameter.default is inspect.Parameter.empty for parameter in list(inspect.signature(method).parameters.values())[1:])


def test_every_stream_and_every_durable_consumer_is_described(committed: dict[str, Any]) -> None:
    assert {channel["x-stream"]["name"] for channel in committed["channels"].values() if "x-stream" in channel} == {
        *streams(),
        *(str(bucket.name) for bucket in BUCKETS),
    }
    described = {consumer["durable"] for operation in committed["operations"].values() for consumer in operation.get("x-consumers", [])}
    assert described == set(consumers())


def test_a_channel_of_a_stream_has_a_subject_of_that_stream(committed: dict[str, Any]) -> None:
    for name, channel in committed["channels"].items():
        stream = channel.get("x-stream")
        if stream:
            patterns = [*stream["subjects"], *([stream["stored_as"]] if "stored_as" in stream else [])]
            assert any(takes(pattern, channel["address"]) for pattern in patterns), name


def takes(pattern: str, address: str) -> bool:
    wanted, given = pattern.replace("{{wildcard(1)}}", "*").replace("{{wildcard(2)}}", "*").split("."), address.split(".")
    if wanted[-1] == ">":
        return given[: len(wanted) - 1] == wanted[:-1] and len(given) >= len(wanted)
    return len(wanted) == len(given) and all(one in ("*", other) for one, other in zip(wanted, given, strict=True))


def test_every_contract_travels_on_some_channel(committed: dict[str, Any]) -> None:
    travelling = {message for channel in committed["channels"].values() for message in channel["messages"]}
    assert travelling == set(committed["components"]["messages"])
    assert {key(name) for name in MESSAGES} <= travelling


def test_users_find_what_they_may_do(committed: dict[str, Any]) -> None:
    own = {(operation["tags"][0]["name"], operation["action"], operation["channel"]["$ref"].split("/")[-1]) for operation in committed["operations"].values()}
    assert {
        ("producer", "send", "request"),
        ("producer", "send", "requestInLane"),
        ("producer", "send", "cancel"),
        ("consumer", "receive", "result"),
        ("consumer", "receive", "delta"),
        ("consumer", "send", "resultByDirectGet"),
        ("operator", "receive", "cost"),
        ("operator", "receive", "notice"),
        ("operator", "receive", "dead"),
        ("operator", "send", "query"),
        ("operator", "send", "configuration"),
    } <= own


def test_another_root_moves_every_subject() -> None:
    addresses = [channel.address for channel in channels("other") if channel.address and not channel.address.startswith("$KV")]
    assert all(address.removeprefix(f"{DIRECT_GET}RESULTS.").startswith("other.v1.") for address in addresses)
    assert document("other")["channels"]["result"]["x-stream"]["subjects"] == ["other.v1.settle.*.*"]


def test_every_token_of_a_subject_is_explained_once(committed: dict[str, Any]) -> None:
    assert {token for channel in committed["channels"].values() for token in channel.get("parameters", {})} == set(PARAMETERS)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    for item in node if isinstance(node, list) else []:
        yield from references(item)


def test_the_document_needs_no_other(committed: dict[str, Any]) -> None:
    for reference in references({**committed, "components": {**committed["components"], "messages": without_examples(committed)}}):
        found: Any = committed
        for token in reference.removeprefix("#/").split("/"):
            found = found[token]


def without_examples(committed: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**message, "examples": []} for message in committed["components"]["messages"].values()]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_committed_example_is_valid_under_the_bundled_schema(committed: dict[str, Any], name: str) -> None:
    payload = committed["components"]["messages"][key(name)]["payload"]
    validator = jsonschema_rs.Draft7Validator({**payload, "components": committed["components"]})
    example = json.loads((EXAMPLES / f"{name}.v1.json").read_text(encoding="utf-8"))
    validator.validate(example)
    assert not validator.is_valid({}) or name in ("cancel", "config", "index_question")


def test_bundled_requests_are_closed_and_results_are_open(committed: dict[str, Any]) -> None:
    schemas = committed["components"]["schemas"]
    assert schemas["ChatRequestV1"]["additionalProperties"] is False
    assert schemas["ChatMessageV1"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["OpenChatMessageV1"]
    assert "#/components/schemas/OpenChatMessageV1" in set(references(schemas["ResultV1"]))


@pytest.fixture(scope="module")
def diagnostics(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, str]]]:
    """What the official parser says of the committed document, and of a broken one. Skips without node."""
    folder = tmp_path_factory.mktemp("asyncapi")
    script = program(PARSER, folder) / "validate.mjs"
    broken = folder / "broken.json"
    wrong = document()
    del wrong["channels"]["result"]["parameters"]["tenant"]
    wrong["operations"]["consumerReceivesResult"]["action"] = "hears"
    broken.write_text(json.dumps(wrong), encoding="utf-8")
    done = subprocess.run([node(), str(script), str(DOCUMENT), str(broken)], capture_output=True, text=True, timeout=90, check=True, stdin=subprocess.DEVNULL)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(400)
def test_the_official_parser_finds_no_error_and_no_warning(diagnostics: list[list[dict[str, str]]]) -> None:
    assert [found for found in diagnostics[0] if found["severity"] in ("error", "warning")] == []


@pytest.mark.timeout(400)
def test_the_official_parser_finds_what_is_wrong(diagnostics: list[list[dict[str, str]]]) -> None:
    assert {line["path"].partition(".")[0] for line in diagnostics[1] if line["severity"] == "error"} == {"channels", "operations"}
