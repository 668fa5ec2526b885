// OpenAI's client for Node, unmodified and over TLS, against a Vivavoce server with scripted engines:
//
//     node openai.mjs https://HOST:PORT/v1 SPEECH.pcm
//
// The server's language model repeats the last message of the user, its recogniser hears "where is the station"
// whatever is said. NODE_EXTRA_CA_CERTS names the server's certificate.

import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { assert, Events, microphone, run } from './talk.mjs';

const [baseURL, speechFile] = process.argv.slice(2);
const speech = readFileSync(speechFile);
const client = new OpenAI({ baseURL, apiKey: process.env.VIVAVOCE_TOKEN ?? 'none-is-needed-on-loopback' });
const LONG = 'One is the first number. Two comes after it. Three is a crowd, they say. Four wheels has a car.';
const TOOL = {
  type: 'function',
  name: 'look_up',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
};

function write(socket, text) {
  const content = [{ type: 'input_text', text }];
  socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
}

function said(response) {
  const parts = response.output.flatMap((item) => item.content ?? []);
  return parts.map((part) => part.transcript ?? part.text).join(' ');
}

async function speaks_and_hears({ socket, events }) {
  const input = { transcription: { model: 'whisper-1' } };
  socket.send({ type: 'session.update', session: { type: 'realtime', audio: { input } } });
  await events.until('session.updated');
  const voice = microphone(speech, (pcm) => {
    socket.send({ type: 'input_audio_buffer.append', audio: pcm.toString('base64') });
  });
  const { item_id } = await events.until('input_audio_buffer.speech_started');
  const words = await events.until('conversation.item.input_audio_transcription.completed');
  assert(words.transcript === 'where is the station' && words.item_id === item_id, JSON.stringify(words));
  const { response } = await events.until('response.done');
  voice.stop();
  assert(response.status === 'completed' && said(response) === 'where is the station', JSON.stringify(response));
  const audio = events.seen.filter((event) => event.type === 'response.output_audio.delta');
  const seconds = audio.reduce((sum, event) => sum + Buffer.from(event.delta, 'base64').length, 0) / 48_000;
  assert(seconds > 0.9 && seconds < 1.5, `${seconds} s of speech`);
}

async function is_interrupted_and_truncates({ socket, events }) {
  write(socket, LONG);
  socket.send({ type: 'response.create' });
  const { item } = await events.until('response.output_item.added');
  await events.until('response.output_audio.delta');
  socket.send({ type: 'response.cancel' });
  const { response } = await events.until('response.done');
  assert(response.status === 'cancelled', response.status);
  assert(response.status_details.reason === 'client_cancelled', JSON.stringify(response.status_details));
  socket.send({ type: 'conversation.item.truncate', item_id: item.id, content_index: 0, audio_end_ms: 300 });
  socket.send({ type: 'conversation.item.retrieve', item_id: item.id });
  await events.until('conversation.item.truncated');
  const retrieved = await events.until('conversation.item.retrieved');
  const heard = retrieved.item.content[0].transcript;
  assert(LONG.startsWith(heard) && heard.length < 20, heard);
}

async function runs_a_function({ socket, events }) {
  socket.send({ type: 'session.update', session: { type: 'realtime', tools: [TOOL], output_modalities: ['text'] } });
  await events.until('session.updated');
  write(socket, '{call look_up {"city":"Rome"}}');
  socket.send({ type: 'response.create' });
  const { item } = await events.until('response.output_item.done', ({ item }) => item.type === 'function_call');
  assert(item.status === 'completed' && JSON.parse(item.arguments).city === 'Rome', JSON.stringify(item));
  await events.until('response.done');
  const output = { type: 'function_call_output', call_id: item.call_id, output: 'sunny' };
  socket.send({ type: 'conversation.item.create', item: output });
  write(socket, 'It is {tool}');
  socket.send({ type: 'response.create' });
  const { response } = await events.until('response.done');
  assert(said(response) === 'It is sunny', said(response));
}

async function writes_beside_the_conversation({ socket, events }) {
  const content = [{ type: 'input_text', text: 'only for now' }];
  const input = [{ type: 'message', role: 'user', content }];
  const wish = { conversation: 'none', output_modalities: ['text'], metadata: { topic: 'test' }, input };
  socket.send({ type: 'response.create', response: wish });
  const { response } = await events.until('response.done');
  assert(said(response) === 'only for now' && response.metadata.topic === 'test', JSON.stringify(response));
  assert(!events.seen.some((event) => event.type === 'conversation.item.added'), 'an item was added');
}

async function is_told_what_is_wrong({ socket, events }) {
  socket.send({ type: 'conversation.item.delete', event_id: 'mine', item_id: 'item_that_is_not_there' });
  const { error } = await events.until('error');
  assert(error.event_id === 'mine' && error.param === 'item_id', JSON.stringify(error));
}

async function speaks_http_too() {
  const models = await client.models.list();
  assert(models.data.length > 0, 'no models');
  const question = { role: 'user', content: 'say this again' };
  const stream = await client.chat.completions.create({ model: 'any', messages: [question], stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
  assert(text === 'say this again', text);
}

const scenarios = [
  speaks_and_hears,
  is_interrupted_and_truncates,
  runs_a_function,
  writes_beside_the_conversation,
  is_told_what_is_wrong,
  speaks_http_too,
];
await run(scenarios, async () => {
  const socket = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, client);
  const events = new Events();
  socket.on('event', (event) => events.push(event));
  socket.on('error', () => {}); // Without a listener the client throws; errors are events, too.
  const created = await events.until('session.created');
  assert(created.session.model === 'gpt-realtime', JSON.stringify(created));
  return { socket, events, close: () => socket.close() };
});
