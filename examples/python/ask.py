"""Ask a model through Headrace: `python ask.py plain|tools|stream TEXT`, or `python ask.py resume`."""

import argparse
import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import nats
from awaited import Awaited
from deltas import text_of
from headrace import Headrace

SCHEMA = Path(__file__).resolve().parents[2] / "contracts" / "schemas" / "request.chat.v1.json"
TOOLS = [
    {
        "type": "function",
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]

Json = dict[str, Any]


def weather(city: str) -> Json:
    """What the program does when the model asks for its tool. A real one would look it up."""
    return {"city": city, "sky": "clear", "celsius": 21}


def say(**facts: Any) -> None:
    print(json.dumps(facts), file=sys.stderr, flush=True)


def show(text: str) -> None:
    print(text, end="", flush=True)


def request_for(what: str, text: str, temperature: float | None) -> Json:
    request: Json = {"messages": [{"role": "user", "content": text}]}
    if temperature is not None:
        request["sampling"] = {"temperature": temperature}
    if what == "tools":
        request |= {"id": f"weather-{uuid.uuid4()}", "tools": TOOLS}
    if what == "stream":
        request |= {"id": f"stream-{uuid.uuid4()}", "stream": True}
    return request


class Conversation:
    """Sends, notes, awaits and follows up."""

    def __init__(self, headrace: Headrace, awaited: Awaited) -> None:
        self.headrace, self.awaited = headrace, awaited

    async def ask(self, request: Json) -> bool:
        """A request without an id gets one from the publish ack. Between the two a kill leaves no trace: choose an id where that matters."""
        self.headrace.check(request)
        if "id" in request:
            self.awaited.note(request["id"], request, sent=False)
            await self.send_noted(request["id"], request)
            return await self.finish(request["id"], request)
        request_id = await self.headrace.send(request)
        self.awaited.note(request_id, request, sent=True)
        say(sent=request_id)
        return await self.finish(request_id, request)

    async def resume(self) -> bool:
        """Go on with all that is awaited; only what may never have been sent is sent again."""
        well = True
        for request_id, entry in list(self.awaited.entries.items()):
            if not entry["sent"]:
                await self.send_noted(request_id, entry["request"])
            well = await self.finish(request_id, entry["request"]) and well
        return well

    async def send_noted(self, request_id: str, request: Json) -> None:
        await self.headrace.send(request)
        self.awaited.note(request_id, request, sent=True)
        say(sent=request_id)

    async def finish(self, request_id: str, request: Json) -> bool:
        """Await the result, show it, and follow up when the model asks for tools. Whether all went well."""
        streamed = request.get("stream", False)
        result = await (self.headrace.streamed(request_id, show) if streamed else self.headrace.result(request_id))
        calls = [part for part in (result["message"] or {}).get("parts") or [] if part["type"] == "tool_call"]
        if result["status"] == "succeeded" and calls:
            for call in calls:
                say(tool_call=call)
            following = follow_up(request_id, request, result["message"], calls)
            self.headrace.check(following)
            self.awaited.follow(request_id, following)
            await self.send_noted(following["id"], following)
            return await self.finish(following["id"], following)
        if not streamed:
            show(text_of(result) + "\n")
        say(id=request_id, **{name: result[name] for name in ("status", "finish_reason", "cost_usd", "error")})
        self.awaited.forget(request_id)
        return bool(result["status"] == "succeeded")


def follow_up(request_id: str, request: Json, message: Json, calls: list[Json]) -> Json:
    """The conversation so far, the model's turn as it stands in the result, and an answer to each of its tool calls."""
    answers = [{"type": "tool_call_response", "id": call["id"], "response": weather(**call["arguments"])} for call in calls]
    first, _, turn = request_id.partition("-turn")
    return {**request, "id": f"{first}-turn{int(turn or 1) + 1}", "messages": [*request["messages"], message, {"role": "tool", "parts": answers}]}


async def run(options: argparse.Namespace) -> bool:
    environment = os.environ
    awaited = Awaited(Path(environment.get("HEADRACE_AWAITED", "awaited.json")))
    connection = await nats.connect(environment.get("HEADRACE_NATS", "nats://127.0.0.1:4222"), max_reconnect_attempts=-1)
    try:
        schema = Path(environment.get("HEADRACE_SCHEMA", SCHEMA))
        conversation = Conversation(Headrace(connection, environment.get("HEADRACE_TENANT", "default"), "interactive", schema), awaited)
        if options.what == "resume":
            return await conversation.resume()
        return await conversation.ask(request_for(options.what, options.text, options.temperature))
    finally:
        await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["plain", "tools", "stream", "resume"])
    parser.add_argument("text", nargs="?", help="what to ask; none to resume")
    parser.add_argument("--temperature", type=float)
    options = parser.parse_args()
    if (options.what == "resume") == bool(options.text):
        parser.error("give a text to ask, and none to resume")
    try:
        return 0 if asyncio.run(run(options)) else 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
