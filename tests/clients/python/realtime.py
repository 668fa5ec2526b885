"""OpenAI's Python client, unmodified, against a Vivavoce server with scripted engines.

    realtime.py ws://HOST:PORT/v1 SPEECH.pcm [SCENARIO…]

The server's language model repeats the last message of the user ({echo}), its recogniser hears "where is
the station" whatever is said. SPEECH is 24 kHz mono 16-bit PCM. Every message of the server is validated
by the client's own types, and the whole of a connection by `Order`. Exits with 1 at the first thing that is
not as it should be.
"""

import asyncio
import base64
import json
import os
import sys

from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

EVENT = TypeAdapter(RealtimeServerEvent)
LIMIT_S = 60
MESSAGE_BYTES = 960  # 20 ms
LONG = "One is the first number. Two comes after it. Three is a crowd, they say. Four wheels has a car."
TOOL = {
    "type": "function",
    "name": "look_up",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Order:
    """What holds for every sequence of server events."""

    def __init__(self):
        self.ids, self.items, self.responses, self.parts, self.done = set(), [], {}, {}, set()

    def see(self, event):
        assert event.event_id not in self.ids, f"{event.event_id} came twice"
        self.ids.add(event.event_id)
        kind = event.type
        response = getattr(event, "response_id", None)
        if response is not None and kind != "output_audio_buffer.cleared":
            assert response in self.responses, f"{kind} outside its response"
        if kind == "conversation.item.added":
            previous = event.previous_item_id
            at = 0 if previous is None else self.items.index(previous) + 1
            self.items.insert(at, event.item.id)
        elif kind == "conversation.item.done":
            at = self.items.index(event.item.id)
            assert event.previous_item_id == (self.items[at - 1] if at else None), "a wrong previous item"
            assert event.item.status in ("completed", "incomplete")
        elif kind == "conversation.item.deleted":
            self.items.remove(event.item_id)
        elif kind == "response.created":
            assert event.response.status == "in_progress"
            assert event.response.id not in self.done
            self.responses[event.response.id] = set()
        elif kind == "response.output_item.added":
            self.responses[response].add(event.item.id)
        elif kind == "response.output_item.done":
            self.responses[response].remove(event.item.id)
            assert event.item.id not in self.parts.values(), "an item is done before its part"
        elif kind == "response.content_part.added":
            assert event.item_id in self.responses[response]
            assert response not in self.parts
            self.parts[response] = event.item_id
        elif kind == "response.content_part.done":
            assert self.parts.pop(response) == event.item_id
        elif kind.endswith(".delta") and kind.startswith("response.output_"):
            assert self.parts[response] == event.item_id, "words outside a part"
        elif kind == "response.done":
            ended = event.response.id
            assert self.responses.pop(ended) == set(), "items are open at the end"
            assert ended not in self.parts and ended not in self.done
            assert event.response.status != "in_progress" and event.response.usage is not None
            self.done.add(ended)


class Talk:
    """A connection, its events, and a microphone."""

    def __init__(self, connection):
        self.connection, self.order, self.events = connection, Order(), []

    async def next(self):
        raw = await asyncio.wait_for(self.connection.recv_bytes(), LIMIT_S)
        assert len(raw) < 1 << 20
        value = json.loads(raw)
        event = EVENT.validate_python(value, strict=False)
        assert type(event).__name__ != "dict"
        self.order.see(event)
        self.events.append(event)
        return event

    async def until(self, kind, wanted=lambda event: True):
        while True:
            event = await self.next()
            if event.type == "error" and kind != "error":
                raise AssertionError(f"{event.error} while waiting for {kind}")
            if event.type == kind and wanted(event):
                return event

    async def update(self, **session):
        await self.connection.session.update(session={"type": "realtime", **session})
        return (await self.until("session.updated")).session

    async def write(self, text, role="user"):
        content = [{"type": "output_text" if role == "assistant" else "input_text", "text": text}]
        item = {"type": "message", "role": role, "content": content}
        await self.connection.conversation.item.create(item=item)
        return (await self.until("conversation.item.done")).item

    async def microphone(self, speech):
        """Speaks, then is silent, in real time."""
        silence, at, next_at = bytes(MESSAGE_BYTES), 0, asyncio.get_running_loop().time()
        while True:
            piece = speech[at : at + MESSAGE_BYTES].ljust(MESSAGE_BYTES, b"\0") if at < len(speech) else silence
            at += MESSAGE_BYTES
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
            next_at += 0.02
            await asyncio.sleep(max(0.0, next_at - asyncio.get_running_loop().time()))


def said(response):
    words = [part.transcript or part.text for item in response.output for part in getattr(item, "content", [])]
    return " ".join(words)


async def connects_and_configures(talk, speech):
    created = talk.events[0].session
    assert created.type == "realtime" and created.model == "gpt-realtime" and created.audio.input.turn_detection
    session = await talk.update(
        instructions="Be brief.",
        output_modalities=["audio"],
        tools=[TOOL],
        tool_choice="auto",
        max_output_tokens=500,
        audio={
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "semantic_vad", "eagerness": "high", "interrupt_response": True},
            },
            "output": {"voice": "marin", "format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0},
        },
    )
    assert session.instructions == "Be brief." and session.tools[0].name == "look_up"
    assert session.max_output_tokens == 500 and session.audio.output.voice == "marin"
    assert session.audio.input.turn_detection.type == "semantic_vad"
    assert session.audio.input.turn_detection.eagerness == "high"
    assert session.audio.input.transcription.language == "en"


async def speaks_and_hears(talk, speech):
    await talk.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    microphone = asyncio.create_task(talk.microphone(speech))
    started = await talk.until("input_audio_buffer.speech_started")
    words = await talk.until("conversation.item.input_audio_transcription.completed")
    assert words.transcript == "where is the station" and words.item_id == started.item_id
    done = await talk.until("response.done")
    microphone.cancel()
    assert done.response.status == "completed" and said(done.response) == "where is the station"
    audio = [event for event in talk.events if event.type == "response.output_audio.delta"]
    seconds = sum(len(base64.b64decode(event.delta)) for event in audio) / 48_000
    assert 0.9 < seconds < 1.5, f"{seconds} s of speech"


async def is_interrupted_and_truncates(talk, speech):
    await talk.write(LONG)
    await talk.connection.response.create()
    added = await talk.until("response.output_item.added")
    await talk.until("response.output_audio.delta")
    await asyncio.sleep(1.0)
    microphone = asyncio.create_task(talk.microphone(speech))
    await talk.until("input_audio_buffer.speech_started")
    done = await talk.until("response.done")
    assert done.response.status == "cancelled", done.response.status
    assert done.response.status_details.reason == "turn_detected"
    await talk.connection.conversation.item.truncate(item_id=added.item.id, content_index=0, audio_end_ms=900)
    await talk.connection.conversation.item.retrieve(item_id=added.item.id)
    truncated = await talk.until("conversation.item.truncated")
    assert truncated.audio_end_ms == 900
    retrieved = await talk.until("conversation.item.retrieved")
    heard = retrieved.item.content[0].transcript
    assert heard == "One is the", heard
    await talk.until("response.done")
    microphone.cancel()


async def runs_a_function(talk, speech):
    await talk.update(tools=[TOOL], output_modalities=["text"])
    await talk.write('{call look_up {"city":"Rome"}}')
    await talk.connection.response.create()
    called = await talk.until("response.output_item.done", lambda e: e.item.type == "function_call")
    assert called.item.status == "completed" and json.loads(called.item.arguments) == {"city": "Rome"}
    await talk.until("response.done")
    output = {"type": "function_call_output", "call_id": called.item.call_id, "output": "sunny"}
    await talk.connection.conversation.item.create(item=output)
    await talk.write("It is {tool}")
    await talk.connection.response.create()
    assert said((await talk.until("response.done")).response) == "It is sunny"


async def writes_beside_the_conversation(talk, speech):
    kept = await talk.write("keep this")
    given = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "only for now"}]}]
    await talk.connection.response.create(
        response={
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "test"},
            "input": given,
        }
    )
    done = await talk.until("response.done")
    assert done.response.metadata == {"topic": "test"} and done.response.conversation_id is None
    assert said(done.response) == "only for now"
    await talk.connection.response.create(response={"output_modalities": ["text"]})
    assert said((await talk.until("response.done")).response) == "keep this"
    await talk.connection.conversation.item.delete(item_id=kept.id)
    await talk.until("conversation.item.deleted")


async def pushes_to_talk(talk, speech):
    await talk.update(audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
    for at in range(0, len(speech), 9_600):
        await talk.connection.input_audio_buffer.append(audio=base64.b64encode(speech[at : at + 9_600]).decode())
    await talk.connection.input_audio_buffer.commit()
    await talk.connection.response.create()
    await talk.until("input_audio_buffer.committed")
    await talk.until("conversation.item.input_audio_transcription.completed")
    done = await talk.until("response.done")
    assert said(done.response) == "where is the station"
    await talk.connection.input_audio_buffer.clear()
    await talk.until("input_audio_buffer.cleared")


async def is_told_what_is_wrong(talk, speech):
    await talk.connection.send({"type": "session.update", "event_id": "mine", "session": {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "no"}}}}})
    error = (await talk.until("error")).error
    assert error.event_id == "mine" and error.param == "session.audio.input.turn_detection.type", error
    await talk.connection.response.cancel()
    assert (await talk.until("error")).error.code == "response_cancel_not_active"
    await talk.write("still here")
    await talk.connection.response.create(response={"output_modalities": ["text"]})
    assert said((await talk.until("response.done")).response) == "still here"


SCENARIOS = [
    connects_and_configures,
    speaks_and_hears,
    is_interrupted_and_truncates,
    runs_a_function,
    writes_beside_the_conversation,
    pushes_to_talk,
    is_told_what_is_wrong,
]


async def main():
    url, speech_file, *wanted = sys.argv[1:]
    with open(speech_file, "rb") as file:
        speech = file.read()
    key = os.environ.get("VIVAVOCE_TOKEN", "none-is-needed-on-loopback")
    client = AsyncOpenAI(api_key=key, websocket_base_url=url)
    for scenario in SCENARIOS:
        if wanted and scenario.__name__ not in wanted:
            continue
        async with client.realtime.connect(model="gpt-realtime") as connection:
            talk = Talk(connection)
            await talk.until("session.created")
            try:
                await scenario(talk, speech)
            except BaseException:
                print(f"{scenario.__name__}: FAILED behind {[event.type for event in talk.events][-25:]}")
                raise
            assert not talk.order.responses, "a response has no end"
            print(f"{scenario.__name__}: ok, {len(talk.events)} events")


asyncio.run(main())
