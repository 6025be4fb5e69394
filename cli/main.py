"""`headrace`: the application, its global options, and `main`."""

import sys
from typing import Annotated

import typer

from cli import (
    analyzing,
    asking,
    backups,
    benching,
    configuring,
    costs,
    dead,
    doctor,
    indexing,
    migrating,
    models,
    providers,
    publishing,
    replaying,
    results,
    searching,
    tracing,
    up,
    upgrading,
    watch,
)
from cli.session import Session
from observability.logs import configure_logs

GLOBAL_VALUES = ("--nats", "--creds", "--tls-ca", "--tls-cert", "--tls-key", "--tenant")
GLOBAL_FLAGS = ("--json",)

app = typer.Typer(
    name="headrace",
    help="A durable, event-driven LLM pipeline on NATS. The global options may stand before or after the command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def global_options(
    context: typer.Context,
    nats: Annotated[str | None, typer.Option(help="URL of the NATS server, or a comma-separated list; else HEADRACE_NATS, else nats://127.0.0.1:4222.")] = None,
    creds: Annotated[str | None, typer.Option(help="A NATS credentials file; else HEADRACE_CREDS.")] = None,
    tls_ca: Annotated[str | None, typer.Option(help="A CA certificate that the server's is checked against; else HEADRACE_TLS_CA.")] = None,
    tls_cert: Annotated[str | None, typer.Option(help="The client's certificate, where the server asks for one; else HEADRACE_TLS_CERT.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its key; else HEADRACE_TLS_KEY.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose requests; 'default' if not given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")] = False,
) -> None:
    """A durable, event-driven LLM pipeline on NATS. The global options may stand before or after the command."""
    context.obj = Session(nats=nats, creds=creds, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key, tenant_given=tenant, json=json)


for module in (up, asking, publishing, replaying, results, watch, tracing, searching, indexing, analyzing, benching, models, doctor, upgrading, backups):
    module.register(app)
app.add_typer(costs.app, name="cost")
app.add_typer(dead.app, name="dead")
migrating.register(configuring.app)
app.add_typer(configuring.app, name="config")
app.add_typer(providers.app, name="providers")


def hoisted(arguments: list[str]) -> list[str]:
    """The arguments with the global options moved before the command, wherever they stood; what follows `--` is left alone."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in GLOBAL_VALUES:
            front += [argument, *(value for value in [next(waiting, None)] if value is not None)]
        elif argument in GLOBAL_FLAGS or argument.startswith(tuple(f"{name}=" for name in GLOBAL_VALUES)):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def main(arguments: list[str] | None = None) -> None:
    """The console script: exit 0 ok, 1 the thing failed, 2 wrong usage."""
    given = hoisted(sys.argv[1:] if arguments is None else arguments)
    configure_logs("cli", "ERROR")
    app(args=given, prog_name="headrace")


if __name__ == "__main__":
    main()
