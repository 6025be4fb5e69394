"""A call that outlives `ack_wait` three times, and a bus that stands still in the middle of it."""

import signal
from pathlib import Path

import pytest

from bus.streams import ACK_WAIT_S
from tests.integration.conftest import own_stack
from tests.support.processes import eventually


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_call_is_dialled_once_however_long_it_takes_and_whatever_the_bus_does(tmp_path: Path) -> None:
    async with own_stack(tmp_path, replicas=2) as (stack, outsider):
        await outsider.ask("long", f"[[delay {3 * ACK_WAIT_S}]]")
        await outsider.ask("quiet", f"[[delay {3 * ACK_WAIT_S}]]")
        await eventually(lambda: len(stack.calls()) == 2)
        await outsider.silence(ACK_WAIT_S / 2)
        stack.signal_server(signal.SIGSTOP)
        await outsider.silence(1.5 * ACK_WAIT_S)
        stack.signal_server(signal.SIGCONT)
        for request_id in ("long", "quiet"):
            result = await outsider.result(request_id, within_s=4 * ACK_WAIT_S)
            assert [attempt["outcome"] for attempt in result["attempts"]] == ["answered"]
            assert len(stack.calls(request_id)) == 1
        assert await outsider.last_sequence("RESULTS") == 2
