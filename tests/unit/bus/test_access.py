"""Server lists and what they may carry: nothing secret is left where it could be shown."""

from pathlib import Path

import pytest
import uvloop
from faststream.nats import NatsBroker

from bus.access import BadAccess, access
from bus.connection import Bus
from bus.server import end
from tests.support.cluster import Node
from tests.support.trust import Authority, operated


def test_a_user_in_one_url_is_the_user_of_all_servers_and_stands_in_none_that_is_shown() -> None:
    opened = access("nats://ann:p%40ss@a:4222, nats://b:4223,c:4224")
    assert opened.servers == ("nats://a:4222", "nats://b:4223", "nats://c:4224")
    assert (opened.user, opened.password, opened.token) == ("ann", "p@ss", None)
    assert Bus("nats://ann:secret@a:4222,nats://b:4223").url == "nats://a:4222,nats://b:4223"


def test_a_lone_name_in_a_url_is_a_token() -> None:
    opened = access("tls://s3cret@a:4222")
    assert (opened.servers, opened.token, opened.user) == (("tls://a:4222",), "s3cret", None)


def test_what_contradicts_itself_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    _, creds = operated(tmp_path)
    authority = Authority(tmp_path)
    cert, _ = authority.issue("one")
    _, other_key = authority.issue("two")
    (tmp_path / "no-seed.creds").write_text(Path(creds).read_text().replace("BEGIN USER NKEY", "BEGIN OTHER"))
    (tmp_path / "bad-seed.creds").write_text(Path(creds).read_text().replace("\nSU", "\nS1"))
    refused: list[tuple[dict[str, str | None], str]] = [
        ({"url": " , "}, "the list of NATS servers is empty"),
        ({"url": "nats://ann:a@a:1,nats://bob:b@b:2"}, "different users"),
        ({"url": "nats://ann:a@a:1", "creds": creds}, "leave one of them out"),
        ({"creds": str(tmp_path / "no-seed.creds")}, "no section 'USER NKEY SEED'"),
        ({"creds": str(tmp_path / "bad-seed.creds")}, "is damaged"),
        ({"tls_ca": str(tmp_path / "gone.pem")}, "is not a file"),
        ({"tls_key": other_key}, "without --tls-cert"),
        ({"tls_cert": cert, "tls_key": other_key}, "cannot be used"),
        ({"tls_ca": creds}, "cannot be used"),
    ]
    for given, why in refused:
        with pytest.raises(BadAccess, match=why):
            access(**{"url": "nats://a:1", **given})  # type: ignore[arg-type]  # the URL is always text


async def _connects(url: str) -> None:
    bus = Bus(url)
    await bus.connect(timeout_s=10)
    await bus.close()
    broker = NatsBroker(list(bus.access.servers), security=bus.access.security())
    await broker.start()
    await broker.stop()


@pytest.mark.parametrize(("secret", "asked"), [("ann:p%40ss", 'user: ann, password: "p@ss"'), ("s3cret", "token: s3cret")])
def test_user_or_token_open_a_real_server_for_both_clients(tmp_path: Path, secret: str, asked: str) -> None:
    node = Node("alone", tmp_path, f"authorization {{ {asked} }}", jetstream=False)
    node.start([])
    try:
        uvloop.run(_connects(f"nats://{secret}@127.0.0.1:{node.port}"))
    finally:
        if node.process is not None:
            end(node.process, 8)
