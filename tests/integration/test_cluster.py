"""A cluster of three nodes with TLS, client certificates and credentials, reached by a URL list."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bus.connection import Bus
from bus.errors import Exists, Unavailable
from bus.provision import drift, provision
from tests.support import canaries
from tests.support.cluster import Cluster
from tests.support.processes import eventually
from tests.support.stack import Stack
from tests.support.trust import Authority, operated

pytestmark = pytest.mark.timeout(120)


@dataclass
class Guarded:
    stack: Stack
    cluster: Cluster
    environment: dict[str, str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Services that know the cluster by environment alone, on R3 streams."""
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder)
    (cert, key), (own_cert, own_key) = authority.issue("server"), authority.issue("client")
    extra, creds = operated(folder)
    tls = f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{authority.file}", verify: true, timeout: 5 }}'
    cluster = Cluster(folder / "nodes", extra=f"{extra}\n{tls}", files={"creds": creds, "tls_ca": authority.file, "tls_cert": own_cert, "tls_key": own_key})
    environment = {f"HEADRACE_{name.upper()}": path for name, path in cluster.files.items()}
    stack = Stack(folder / "stack", environment=environment, cluster=cluster, replicas=3)
    try:
        asyncio.run(stack.begin())
        yield Guarded(stack, cluster, {**os.environ, **stack.environment})
    finally:
        stack.end()


def headrace(guarded: Guarded, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**guarded.environment, **environment})
    canaries.said(arguments[0], done.stderr)
    return done


def test_a_question_is_answered_over_tls_with_credentials(guarded: Guarded) -> None:
    done = headrace(guarded, "--tenant", "acme", "ask", "Hello", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "succeeded"
    asked = headrace(guarded, "cost", "--json")
    assert asked.returncode == 0, asked.stderr


def test_options_do_what_the_environment_does(guarded: Guarded) -> None:
    files = [part for name, path in guarded.cluster.files.items() for part in (f"--{name.replace('_', '-')}", path)]
    none = {f"HEADRACE_{name.upper()}": "" for name in guarded.cluster.files}
    assert headrace(guarded, "--nats", guarded.cluster.url, *files, "doctor", "--apply", "--replicas", "3", **none).returncode == 0


async def test_what_is_missing_is_named(guarded: Guarded) -> None:
    async def refused(*without: str) -> str:
        done = await asyncio.to_thread(headrace, guarded, "doctor", "--json", **dict.fromkeys(without, ""))
        assert done.returncode == 1
        return str(json.loads(done.stdout)["checks"][0]["detail"])

    reasons = await asyncio.gather(refused("HEADRACE_CREDS"), refused("HEADRACE_TLS_CA"), refused("HEADRACE_TLS_CERT", "HEADRACE_TLS_KEY"))
    assert "refuses these credentials: give --creds" in reasons[0]
    assert "no TLS with" in reasons[1]
    assert "no TLS with" in reasons[2]


async def test_every_stream_and_the_configuration_have_the_replicas_that_were_declared(guarded: Guarded) -> None:
    bus = await guarded.stack.bus()
    try:
        infos = await bus.nc.jetstream().streams_info()
        assert {info.config.name: info.config.num_replicas for info in infos if info.config.num_replicas != 3} == {}
        assert await drift(bus) == []
        await provision(bus)
        assert await drift(bus) == []
        config = (await bus.nc.jetstream().stream_info("NOTICES")).config
        await bus.nc.jetstream().update_stream(config.evolve(num_replicas=1))
        assert await drift(bus) == ["stream NOTICES: num_replicas is 1, declared 3"]
        assert await provision(bus) == ["stream NOTICES: num_replicas is 1, declared 3: mended"]
        assert await drift(bus) == []
    finally:
        await bus.close()


async def test_a_write_that_somebody_else_did_is_seen_at_once_by_whoever_lost(guarded: Guarded) -> None:
    """The first writer wins, and the loser reads what stands there: never a replica that does not know it yet."""
    buses = [await guarded.stack.bus() for _ in range(3)]
    try:
        for number in range(60):
            subject = f"llm.v1.begun.acme.race-{number}.1"

            async def write(bus: Bus, body: bytes, subject: str = subject) -> bytes:
                try:
                    await bus.publish(subject, body, none_on=subject)
                except Exists:
                    stored = await bus.last("JOURNAL", subject)
                    assert stored is not None
                    return stored.body
                return body

            seen = await asyncio.gather(*(write(bus, b"%d" % index) for index, bus in enumerate(buses)))
            assert len(set(seen)) == 1
    finally:
        await asyncio.gather(*(bus.close() for bus in buses))


async def test_what_no_replica_has_is_not_there_and_what_was_deleted_may_be_deleted_again(guarded: Guarded) -> None:
    bus = await guarded.stack.bus()
    try:
        assert await bus.last("RESULTS", "llm.v1.result.acme.never") is None
        assert await bus.get("REQUESTS", 10**9) is None
        await bus.delete("REQUESTS", 10**9)
        ack = await bus.publish("llm.v1.notice.info.test", b"{}", {"Answer": "a: b"})
        stored = await bus.last("NOTICES", "llm.v1.notice.info.test")
        assert stored is not None
        assert (stored.seq, stored.body, stored.headers["Answer"], stored.subject) == (ack.seq, b"{}", "a: b", "llm.v1.notice.info.test")
        await bus.delete("NOTICES", ack.seq)
        await bus.delete("NOTICES", ack.seq)
        assert await bus.get("NOTICES", ack.seq) is None
        with pytest.raises(Unavailable, match="stream not found"):
            await bus.last("NOWHERE", ">")
    finally:
        await bus.close()


async def test_a_cluster_that_lost_its_quorum_is_waited_for(guarded: Guarded) -> None:
    guarded.cluster.nodes["n1"].kill()

    async def told() -> bool:
        done = await asyncio.to_thread(headrace, guarded, "doctor", "--json")
        details = [check["detail"] for check in json.loads(done.stdout)["checks"] if not check["ok"]]
        return done.returncode == 1 and "stream RESULTS: its replica on n1 is away" in details

    await eventually(told, 75, 0.5, what="a doctor that misses n1")
    guarded.cluster.nodes["n2"].kill()
    guarded.stack.start("router-2")
    asked = await asyncio.to_thread(headrace, guarded, "--tenant", "acme", "ask", "Hello")
    assert asked.returncode == 1
    assert asked.stderr.splitlines()[-1].startswith("error: ")
    assert all(program.alive for program in guarded.stack.services.values())
    for name in ("n1", "n2"):
        guarded.cluster.start_node(name)
    await guarded.stack.ready("router-2")
    answered = await asyncio.to_thread(headrace, guarded, "--tenant", "acme", "ask", "Hello again", "--json")
    assert json.loads(answered.stdout)["status"] == "succeeded"
