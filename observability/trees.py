"""Spans leave a process in whole trees, the first above all others: what a kill takes, it takes with all that hangs on it."""

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanContext


class WholeTrees:
    """Holds what ends below a span of this process until that one has ended, and hands all of it on, parents first.

    A span that has been sent while its parent is still open would be an orphan for ever if the process were killed then. All in one thread.
    """

    def __init__(self, onward: SpanProcessor) -> None:
        self._onward = onward
        self._top: dict[int, int] = {}
        """Open and held spans, each with the top one of its tree."""
        self._held: dict[int, list[ReadableSpan]] = {}

    def begun(self, context: SpanContext, parent: SpanContext | None) -> None:
        own = context.span_id
        top = None if parent is None or parent.is_remote else self._top.get(parent.span_id)
        if top is None:
            top = own
            self._held[own] = []
        self._top[own] = top

    def ended(self, span: ReadableSpan) -> None:
        own = _id(span)
        top = self._top.get(own)
        if top is None or top not in self._held:  # its tree has been sent without it
            self._top.pop(own, None)
            self._onward.on_end(span)
        elif top != own:
            self._held[top].append(span)
        else:
            self._send(span, self._held.pop(top))

    def _send(self, top: ReadableSpan, held: list[ReadableSpan]) -> None:
        for span in (top, *reversed(held)):  # what ended last stands above what ended before
            self._top.pop(_id(span), None)
            self._onward.on_end(span)

    def shutdown(self) -> None:
        self._onward.shutdown()


def _id(span: ReadableSpan) -> int:
    context = span.context
    return context.span_id if context is not None else 0
