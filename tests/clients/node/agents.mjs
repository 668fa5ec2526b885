// OpenAI's agents client for JavaScript, unmodified and over TLS, against a Vivavoce server with scripted engines:
//
//     node agents.mjs wss://HOST:PORT/v1/realtime SPEECH.pcm
//
// As in openai.mjs, the language model repeats and the recogniser hears "where is the station".

import { readFileSync } from 'node:fs';
import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';
import { assert, Events, microphone, run } from './talk.mjs';

const [url, speechFile] = process.argv.slice(2);
const speech = readFileSync(speechFile);
const asked = [];
const lookUp = tool({
  name: 'look_up',
  description: 'The weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    asked.push(city);
    return 'sunny';
  },
});

async function speaks_and_hears({ session, events }) {
  const voice = microphone(speech, (pcm) => session.sendAudio(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.length)));
  await events.until('input_audio_buffer.speech_started');
  await events.until('response.done');
  voice.stop();
  const has = (wanted) => {
    return session.history.some(({ role, content }) => {
      return role === wanted && content.map((part) => part.transcript ?? part.text).join('') === 'where is the station';
    });
  };
  while (!has('user') || !has('assistant')) await events.until('history');
  const bytes = events.seen.filter(({ type }) => type === 'audio').reduce((sum, { data }) => sum + data.byteLength, 0);
  assert(bytes / 48_000 > 0.9 && bytes / 48_000 < 1.5, `${bytes / 48_000} s of speech`);
}

async function runs_its_tool_and_goes_on({ session, events }) {
  session.sendMessage('{call look_up {"city":"Rome"}}');
  await events.until('response.output_item.done', ({ item }) => item.type === 'function_call');
  await events.until('response.done');
  // The client gives back what its tool found, and asks for a response by itself.
  const { item } = await events.until('conversation.item.added', ({ item }) => item.type === 'function_call_output');
  assert(asked[0] === 'Rome' && item.output === 'sunny', `${asked} ${JSON.stringify(item)}`);
  await events.until('response.created');
}

async function interrupts({ session, events }) {
  session.sendMessage('One is the first number. Two comes after it. Three is a crowd. Four wheels has a car.');
  await events.until('response.output_audio.delta');
  session.interrupt();
  const { response } = await events.until('response.done');
  assert(response.status === 'cancelled', response.status);
}

await run([speaks_and_hears, runs_its_tool_and_goes_on, interrupts], async () => {
  const agent = new RealtimeAgent({ name: 'Ada', instructions: 'Be brief.', tools: [lookUp] });
  const session = new RealtimeSession(agent, { transport: 'websocket', model: 'gpt-realtime' });
  const events = new Events();
  session.transport.on('*', (event) => events.push(event));
  session.on('audio', ({ data }) => events.push({ type: 'audio', data }));
  session.on('history_updated', () => events.push({ type: 'history' }));
  session.on('error', (error) => events.push({ type: 'error', error }));
  await session.connect({ apiKey: process.env.VIVAVOCE_TOKEN ?? 'none-is-needed-on-loopback', url });
  return { session, events, close: () => session.close() };
});
