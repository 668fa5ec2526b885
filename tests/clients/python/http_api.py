"""The official client against a running server (OPENAI_BASE_URL, OPENAI_API_KEY): every answer has to be
what the client's own types say, and mean what was asked for."""

import io
import json
import urllib.request
import wave

import openai
from openai.types.chat import ChatCompletionChunk
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

client = openai.OpenAI(max_retries=0, timeout=120)


def strict(answer: BaseModel) -> None:
    """The client builds its objects without looking; this looks."""
    type(answer).model_validate(json.loads(answer.model_dump_json(exclude_unset=True)))


def models() -> None:
    listed = client.models.list().data
    ids = [model.id for model in listed]
    assert "concierge" in ids and "flite" in ids and "pocketsphinx" in ids, ids
    for model in listed:
        strict(model)
    assert client.models.retrieve("concierge").owned_by == "vivavoce"
    try:
        client.models.retrieve("gpt-4o")
        raise AssertionError("there is no such model")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error


def chat() -> None:
    messages = [{"role": "user", "content": "When does the museum close?"}]
    tools = [
        {
            "type": "function",
            "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}},
        }
    ]
    whole = client.chat.completions.create(model="gpt-4o", messages=messages, temperature=0, seed=7)
    strict(whole)
    assert whole.choices[0].message.content and whole.choices[0].finish_reason == "stop", whole
    assert whole.usage and whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    again = client.chat.completions.create(model="gpt-4o", messages=messages, temperature=0, tools=tools, tool_choice="none")
    assert again.choices[0].message.content == whole.choices[0].message.content

    chunks: list[ChatCompletionChunk] = []
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model="gpt-4o", messages=messages, temperature=0, stream=True, stream_options=options
    )
    for chunk in stream:
        strict(chunk)
        chunks.append(chunk)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content, (text, whole)
    assert chunks[-1].usage == whole.usage, chunks[-1]

    short = client.chat.completions.create(model="x", messages=messages, temperature=0, max_completion_tokens=1)
    assert short.choices[0].finish_reason == "length", short
    stopped = client.chat.completions.create(model="x", messages=messages, temperature=0, stop=[text.split()[1]])
    assert len(stopped.choices[0].message.content) < len(text), stopped
    try:
        client.chat.completions.create(model="x", messages=messages, n=3)
        raise AssertionError("there is one reply")
    except openai.BadRequestError as error:
        assert error.param == "n" and error.type == "invalid_request_error", error


def speech_and_words() -> None:
    said = "When does the museum close?"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=said, response_format="pcm"
    ) as answer:
        pcm = b"".join(answer.iter_bytes())
    assert len(pcm) > 24_000, "half a second at least"
    opus = client.audio.speech.create(model="tts-1", voice="nova", input=said, response_format="opus").content
    assert opus[:4] == b"OggS" and len(opus) < len(pcm)
    faster = client.audio.speech.create(model="tts-1", voice="nova", input=said, response_format="pcm", speed=1.5)
    assert abs(len(faster.content) - len(pcm) / 1.5) < 4, (len(faster.content), len(pcm))
    try:
        assert len(client.audio.speech.create(model="tts-1", voice="nova", input=said).content) > 1_000
    except openai.BadRequestError as error:
        # Without LAME.
        assert error.param == "response_format", error

    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(pcm)
    wav = ("question.wav", recording.getvalue())
    heard = client.audio.transcriptions.create(model="whisper-1", file=wav)
    strict(heard)
    assert "museum" in heard.text, heard
    of_opus = client.audio.transcriptions.create(model="whisper-1", file=("question.ogg", opus), prompt=said)
    assert "museum" in of_opus.text, of_opus
    verbose = client.audio.transcriptions.create(
        model="whisper-1", file=wav, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    strict(verbose)
    assert verbose.segments and 0 <= verbose.segments[0].start < verbose.segments[0].end <= verbose.duration + 0.1
    captions = client.audio.transcriptions.create(model="whisper-1", file=wav, response_format="srt")
    assert captions.startswith("1\n00:00:0") and "-->" in captions, captions
    events = list(client.audio.transcriptions.create(model="whisper-1", file=wav, stream=True))
    for event in events:
        strict(event)
    assert [event.type for event in events][-1] == "transcript.text.done", events
    assert events[-1].text == heard.text


def client_secrets() -> None:
    made = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "instructions": "Be brief."},
    )
    assert made.value.startswith("ek_") and made.session.instructions == "Be brief.", made
    strict(made)
    try:
        openai.OpenAI(api_key=made.value, max_retries=0).models.list()
        raise AssertionError("a client secret opens sockets only")
    except openai.PermissionDeniedError as error:
        assert error.code == "token_needed", error


def access() -> None:
    try:
        openai.OpenAI(api_key="guessed", max_retries=0).models.list()
        raise AssertionError("nobody knows this key")
    except openai.AuthenticationError as error:
        assert error.code == "bad_token", error


def document() -> None:
    root = str(client.base_url).removesuffix("v1/")
    with urllib.request.urlopen(f"{root}openapi.json") as answer:
        described = json.load(answer)
    assert described["openapi"].startswith("3.1"), described["openapi"]
    OpenAPIV31SpecValidator(described).validate()
    assert "post" in described["paths"]["/v1/audio/transcriptions"]


for check in [models, chat, speech_and_words, client_secrets, access, document]:
    check()
    print(check.__name__)
print("all as expected")
