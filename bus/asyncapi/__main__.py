"""Write the AsyncAPI document of the whole bus: `python -m bus.asyncapi [--check]`."""

import sys

from bus.asyncapi.document import DOCUMENT, is_outdated, text


def main(arguments: list[str]) -> int:
    """Write the document, or with `--check` only say whether it is outdated. Returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m bus.asyncapi [--check]\n")
        return 2
    if not is_outdated():
        return 0
    sys.stdout.write(f"{DOCUMENT.name}: {'outdated; run: python -m bus.asyncapi' if arguments else 'written'}\n")
    if arguments:
        return 1
    DOCUMENT.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
