"""The streams on the official server image, where a container engine answers."""

import shutil
import subprocess

import pytest
from testcontainers.core.container import DockerContainer

from bus.connection import Bus
from bus.provision import drift, provision

IMAGE = "nats:2.15-alpine"


def engine_answers() -> bool:
    return shutil.which("docker") is not None and subprocess.run(["docker", "version"], capture_output=True, timeout=20).returncode == 0


@pytest.mark.container
@pytest.mark.skipif(not engine_answers(), reason="no container engine answers; the same rules run on the nats-server wheel")
async def test_what_is_declared_can_be_provisioned_on_the_official_image() -> None:
    with DockerContainer(IMAGE).with_command("-js").with_exposed_ports(4222) as server:
        bus = Bus(f"nats://{server.get_container_host_ip()}:{server.get_exposed_port(4222)}")
        await bus.connect(timeout_s=30)
        assert await provision(bus)
        assert await drift(bus) == []
        await bus.close()
