"""What the accounts of deploy/nats/ let a tenant's user do, and that everything else is refused by a real server."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from bus.client import HeadraceClient
from bus.configuration import push
from bus.connection import Bus
from bus.provision import provision
from tests.support.accounts import PASSWORD, AccountsServer
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration

MINE, OTHERS = b'{"whose":"acme"}', b'{"whose":"beta"}'
DIRECT = "$JS.API.DIRECT.GET.RESULTS"
IMPORTS = (
    "llm.v1.request.{}.>",
    "llm.v1.cancel.{}.*",
    "llm.v1.document.{}.*.*",
    "llm.v1.query.search.{}",
    "llm.v1.query.indexed.{}",
    "$JS.API.DIRECT.GET.RESULTS.llm.v1.result.{}.*",
    "llm.v1.result.{}.*",
    "llm.v1.delta.{}.*",
    "llm.v1.cost.{}",
)
FORBIDDEN_TO_PUBLISH = (
    "llm.v1.request.beta.chat",
    "llm.v1.cancel.beta.r1",
    "llm.v1.call.fake.standard.acme.r1.1",
    "llm.v1.begun.acme.r1.1",
    "llm.v1.attempt.answered.standard.acme.r1.1",
    "llm.v1.verdict.standard.acme.r1.1",
    "llm.v1.delta.acme.r1",
    "llm.v1.settle.acme.r9",
    "llm.v1.result.acme.r9",
    "llm.v1.cost.acme",
    "llm.v1.dead.router.acme",
    "llm.v1.notice.error.any",
    "llm.v1.query.cost",
    "llm.v1.query.search.beta",
    "llm.v1.query.search.*",
    "llm.v1.query.search.>",
    "llm.v1.query.search",
    "llm.v1.query.indexed.beta",
    "llm.v1.document.beta.c.d1",
    "llm.v1.document.acme.c.d1.more",
    "$JS.API.DIRECT.GET.DOCUMENTS.llm.v1.document.acme.c.d1",
    "$JS.API.STREAM.MSG.GET.DOCUMENTS",
    "$KV.CONFIG.headrace",
    "$KV.HEALTH.fake",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.RESULTS",
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.PURGE.RESULTS",
    "$JS.API.STREAM.DELETE.RESULTS",
    "$JS.API.STREAM.MSG.GET.RESULTS",
    "$JS.API.STREAM.MSG.GET.KV_CONFIG",
    "$JS.API.STREAM.MSG.DELETE.RESULTS",
    "$JS.API.CONSUMER.CREATE.RESULTS",
    "$JS.API.CONSUMER.CREATE.RESULTS.mine.llm.v1.result.acme.*",
    "$JS.API.CONSUMER.DURABLE.CREATE.REQUESTS.router-standard",
    "$JS.API.CONSUMER.NAMES.RESULTS",
    "$JS.API.CONSUMER.LIST.REQUESTS",
    "$JS.API.CONSUMER.INFO.REQUESTS.router-standard",
    "$JS.API.CONSUMER.DELETE.REQUESTS.router-standard",
    "$JS.API.CONSUMER.MSG.NEXT.REQUESTS.router-standard",
    "$JS.ACK.REQUESTS.router-standard.1.1.1.1.0",
    DIRECT,
    f"{DIRECT}.llm.v1.result.beta.r1",
    "$JS.API.DIRECT.GET.KV_CONFIG.$KV.CONFIG.headrace",
    "$JS.API.DIRECT.GET.REQUESTS.llm.v1.request.acme.chat",
    "$SYS.REQ.SERVER.PING",
)
FORBIDDEN_TO_HEAR = (
    ">",
    "llm.>",
    "llm.v1.result.*.*",
    "llm.v1.result.beta.*",
    "llm.v1.request.acme.>",
    "llm.v1.delta.beta.*",
    "llm.v1.cost.*",
    "llm.v1.document.>",
    "llm.v1.document.acme.>",
    "llm.v1.query.>",
    "llm.v1.query.search.acme",
    "llm.v1.call.>",
    "llm.v1.attempt.>",
    "llm.v1.settle.>",
    "$KV.>",
    "$JS.>",
    "$SYS.>",
    "_R_.>",
)


class Tenant:
    """A tenant's user on a plain connection, and what the server refused it."""

    def __init__(self, name: str) -> None:
        self.name, self.nc, self.errors = name, Client(), list[str]()

    async def connect(self, server: AccountsServer) -> None:
        async def note(error: Exception) -> None:
            self.errors.append(str(error))

        await self.nc.connect(f"nats://127.0.0.1:{server.port}", user=self.name, password=PASSWORD, error_cb=note)

    async def refused(self, what: str) -> Any:
        return await eventually(lambda: any(f'"{what.lower()}"' in error.lower() for error in self.errors), 3, what=f"a refusal of {what!r}")


@asynccontextmanager
async def bus_of(server: AccountsServer, user: str) -> AsyncIterator[Bus]:
    bus = Bus(server.url(user))
    await bus.connect(timeout_s=10)
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[AccountsServer, Bus, Tenant]]:
    """A provisioned server with a result of acme and one of beta; acme is connected."""
    server, acme = AccountsServer(folder, ("acme", "beta")), Tenant("acme")
    try:
        await server.start()
        async with bus_of(server, "services") as services:
            await provision(services)
            await services.publish(services.subjects.settle("acme", "r1"), MINE)
            await services.publish(services.subjects.settle("beta", "r1"), OTHERS)
            await acme.connect(server)
            yield server, services, acme
            await acme.nc.close()
    finally:
        await asyncio.to_thread(server.stop)


async def stored(bus: Bus) -> dict[str, int]:
    """How many messages each stream took so far; deletions show too."""
    infos = await bus.nc.jetstream().streams_info()
    return {str(info.config.name): info.state.last_seq * 1000 + info.state.messages for info in infos}


async def test_a_tenants_user_publishes_its_requests_and_cancels(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, services, _), bus_of(server, "acme") as bus:
        client = HeadraceClient(bus, "acme")
        await client.publish({"id": "job-1", "messages": [{"role": "user", "content": "hello"}]}, "bulk")
        await client.cancel("job-1", "enough")
        request = await services.last("REQUESTS", "llm.v1.request.acme.chat.bulk")
        assert request is not None
        assert json.loads(request.body)["id"] == "job-1"
        assert await services.last("CANCELS", "llm.v1.cancel.acme.job-1") is not None


async def test_a_tenants_user_hears_its_results_deltas_and_costs_and_reads_a_result_that_it_missed(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, services, acme):
        heard: list[str] = []

        async def hear(message: Any) -> None:
            heard.append(message.subject)

        for subject in ("llm.v1.result.acme.*", "llm.v1.delta.acme.*", "llm.v1.cost.acme"):
            await acme.nc.subscribe(subject, cb=hear)
        await acme.nc.request(f"{DIRECT}.llm.v1.result.acme.r1", b"", timeout=3)  # the subscriptions have arrived with it
        for tenant in ("beta", "acme"):
            await services.publish(services.subjects.settle(tenant, "r2"), MINE)
            await services.publish(services.subjects.delta(tenant, "r2"), MINE)
            await services.publish(services.subjects.cost(tenant), MINE)
        await eventually(lambda: len(heard) == 3, 5)
        assert set(heard) == {"llm.v1.result.acme.r2", "llm.v1.delta.acme.r2", "llm.v1.cost.acme"}
        assert (await acme.nc.request(f"{DIRECT}.llm.v1.result.acme.r1", b"", timeout=3)).data == MINE
        assert acme.errors == []


async def test_a_tenants_client_finds_a_result_by_direct_get(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, _, _acme), bus_of(server, "acme") as bus:
        found = await bus.last("RESULTS", "llm.v1.result.acme.r1", any_replica=True)
        assert found is not None
        assert found.body == MINE
        assert await bus.last("RESULTS", "llm.v1.result.acme.none", any_replica=True) is None


async def test_whatever_else_a_tenants_user_publishes_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, services, acme):
        before = await stored(services)
        for subject in FORBIDDEN_TO_PUBLISH:
            await acme.nc.publish(subject, b"{}", reply=acme.nc.new_inbox())
        for subject in FORBIDDEN_TO_PUBLISH:
            await acme.refused(subject)
        assert await stored(services) == before


async def test_whatever_else_a_tenants_user_subscribes_to_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _services, acme):
        for subject in FORBIDDEN_TO_HEAR:
            await acme.nc.subscribe(subject)
        for subject in FORBIDDEN_TO_HEAR:
            await acme.refused(subject)


@pytest.mark.parametrize(
    "body",
    [
        {"seq": 2},
        {"last_by_subj": "llm.v1.result.beta.r1"},
        {"seq": 1, "next_by_subj": "llm.v1.result.beta.*"},
        {"seq": 1, "batch": 10, "next_by_subj": ">"},
        {"multi_last": ["llm.v1.result.*.*"]},
    ],
    ids=str,
)
async def test_a_direct_get_of_ones_own_subject_cannot_be_turned_to_anothers(tmp_path: Path, body: dict[str, Any]) -> None:
    async with served(tmp_path) as (_, _services, acme):
        answers = await acme.nc.subscribe(acme.nc.new_inbox())
        await acme.nc.publish(f"{DIRECT}.llm.v1.result.acme.r1", json.dumps(body).encode(), reply=answers.subject)
        answer = await answers.next_msg(timeout=3)
        assert OTHERS not in answer.data
        assert (answer.headers or {}).get("Status") == "408"


async def test_an_answer_cannot_be_sent_where_the_asker_may_not_publish(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, services, acme):
        before = await stored(services)
        forged = ("llm.v1.request.beta.chat", "llm.v1.settle.beta.forged", "llm.v1.attempt.answered.standard.beta.forged.1", "$JS.API.STREAM.PURGE.RESULTS")
        for reply in forged:
            await acme.nc.publish("llm.v1.request.acme.chat", b"{}", reply=reply)
            await acme.nc.publish(f"{DIRECT}.llm.v1.result.acme.r1", b"", reply=reply)
        await acme.nc.request("llm.v1.request.acme.chat", b"{}", timeout=3)  # the server has handled what came before
        await asyncio.sleep(0.3)  # time for an answer to do harm; there is nothing to wait for
        after = await stored(services)
        assert {name for name in after if after[name] != before[name]} == {"REQUESTS"}
        assert await services.last("REQUESTS", "llm.v1.request.beta.>") is None


def test_a_tenants_account_is_accepted_as_the_template_makes_it(tmp_path: Path) -> None:
    code, said = AccountsServer(tmp_path, ("acme", "beta")).check()
    assert code == 0, said


@pytest.mark.parametrize("imported", IMPORTS)
def test_an_account_cannot_import_what_belongs_to_another_tenant(tmp_path: Path, imported: str) -> None:
    server, file = AccountsServer(tmp_path, ("acme", "beta")), tmp_path / "tenant-acme.conf"
    ours, theirs = (f'account: HEADRACE, subject: "{imported.format(tenant)}"' for tenant in ("acme", "beta"))
    assert ours in file.read_text()
    file.write_text(file.read_text().replace(ours, theirs))
    code, said = server.check()
    assert code != 0
    assert "import" in said.lower()


async def test_a_tenants_user_puts_documents_and_searches_its_own_and_no_other(tmp_path: Path) -> None:
    server, stack = AccountsServer(tmp_path, ("acme", "beta")), Stack(tmp_path / "stack", environment={"HEADRACE_NATS": ""})
    acme, beta = Tenant("acme"), Tenant("beta")
    try:
        await server.start()
        async with bus_of(server, "services") as services:
            await provision(services)
            await push(services, json.dumps(configuration("http://127.0.0.1:1/v1")))
        stack.start("indexer-1", {"HEADRACE_NATS": server.url("services"), "HEADRACE_INDEXER_DATA_DIR": str(tmp_path)})
        await stack.ready("indexer-1")
        for tenant in (acme, beta):
            await tenant.connect(server)
            body = {"id": "d1", "content": f"the kettle of {tenant.name}"}
            ack = await tenant.nc.request(f"llm.v1.document.{tenant.name}.c.d1", json.dumps(body).encode(), timeout=10)
            assert "seq" in json.loads(ack.data)

        async def found(tenant: Tenant) -> list[str]:
            reply = await tenant.nc.request(f"llm.v1.query.search.{tenant.name}", b'{"text": "kettle"}', timeout=10)
            return [hit["snippet"] for hit in json.loads(reply.data)["hits"]]

        for tenant in (acme, beta):
            assert await eventually(partial(found, tenant), 30, what="a hit") == [f"the kettle of {tenant.name}"]
        assert "stream_floor" in json.loads((await acme.nc.request("llm.v1.query.indexed.acme", b"{}", timeout=10)).data)
        await acme.nc.publish("llm.v1.query.search.beta", b'{"text": "kettle"}', reply=acme.nc.new_inbox())
        await acme.refused("llm.v1.query.search.beta")
        for tenant in (acme, beta):
            await tenant.nc.close()
    finally:
        await asyncio.to_thread(stack.end)
        await asyncio.to_thread(server.stop)


async def test_a_tenants_client_asks_a_running_pipeline_and_the_command_line_too(tmp_path: Path) -> None:
    server, stack = AccountsServer(tmp_path, ("acme",)), Stack(tmp_path / "stack", environment={"HEADRACE_NATS": ""})
    try:
        await server.start()
        await stack.start_provider()
        async with bus_of(server, "services") as services:
            await provision(services)
            await push(services, json.dumps(configuration(stack.base_url)))
        for service in ("router", "adapters", "validator"):
            stack.start(f"{service}-1", {"HEADRACE_NATS": server.url("services")})
            await stack.ready(f"{service}-1")
        async with bus_of(server, "acme") as bus:
            client = HeadraceClient(bus, "acme")
            answer = await client.ask({"id": "asked", "messages": [{"role": "user", "content": "hello"}], "stream": True}, timeout_s=20)
            assert answer.status == "succeeded"
            async with client.awaiting() as results:
                assert (await results.result("asked", 10)).request_id == "asked"
        command = [sys.executable, "-m", "cli.main", "--nats", server.url("acme"), "--tenant", "acme", "--json", "ask", "hello"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=40)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        await asyncio.to_thread(stack.end)
        await asyncio.to_thread(server.stop)
