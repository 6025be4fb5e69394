"""`headrace up`: everything in one process, for a laptop, until SIGTERM."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from bus.access import BadAccess
from bus.configuration import BadConfiguration
from bus.errors import Unavailable
from bus.probes import PORT, BadPort
from bus.provision import Sizing
from cli.configuring import checked, text_of_file
from cli.local import Unstartable
from cli.session import Failure, fail, session_of
from observability.exporting import configure_metrics
from observability.logs import configure_logs, log_everything
from observability.sending import configure_tracing


class Ended(BaseException):
    """SIGTERM or SIGINT came before the services had taken over the signals."""


def register(app: typer.Typer) -> None:
    app.command("up")(up)


def up(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="A configuration to push first.", exists=True, dir_okay=False)] = None,
    data_dir: Annotated[Path, typer.Option(help="Where streams, ledger and logs are kept.", file_okay=False)] = Path(".headrace"),
    replicas: Annotated[int | None, typer.Option(help="Copies of each stream in the cluster of --nats: 1, 3 or 5.", min=1, max=5)] = None,
    nats_port: Annotated[int, typer.Option(help="The embedded server's port; 0 takes a free one.", min=0, max=65535)] = 4222,
) -> None:
    """Start a NATS server (or use that of --nats) and all services; ends with SIGTERM. Prints 'ready URL' when it is."""
    from cli.running import run_all  # the services' imports take a second that no other command should pay

    session = session_of(context)
    if replicas is not None and replicas > 1 and not session.nats:
        raise typer.BadParameter("the embedded server is one node; give --nats with the URLs of a cluster", param_hint="--replicas")
    configure_logs("headrace", os.environ.get("HEADRACE_LOG_LEVEL", "WARNING"))
    log_everything()
    configure_tracing("up")
    configure_metrics("up", scraped=bool(os.environ.get(PORT)))
    try:
        with _ending_signals():
            text = text_of_file(config) if config is not None else None
            if text is not None:
                checked(text)
            with locked(data_dir):
                run_all(session, text, data_dir.resolve(), nats_port, Sizing(replicas))
    except BadConfiguration as error:
        fail(*error.problems)
    except (Failure, Unavailable, Unstartable, BadAccess, BadPort, OSError, RuntimeError) as error:
        fail(str(error))
    except Ended:
        raise typer.Exit(0) from None


@contextmanager
def _ending_signals() -> Iterator[None]:
    """Until the services take over the signals, one raises Ended here, so that what was started is stopped."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Ended

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    yield


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Two servers on one directory would destroy its streams."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(f"another 'headrace up' uses {data_dir}: end it, or give another --data-dir") from error
        yield
