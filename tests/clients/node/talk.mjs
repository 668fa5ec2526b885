// What the scenarios of both JavaScript clients have in common: waiting for events, and a microphone.

export const LIMIT_MS = 60_000;
const MESSAGE_BYTES = 960; // 20 ms of 24 kHz 16-bit PCM

export function assert(truth, message) {
  if (!truth) throw new Error(message);
}

/** Events as they come; `until` looks at each once, in their order. */
export class Events {
  constructor() {
    this.seen = [];
    this.next = 0;
    this.waiting = undefined;
  }

  push(event) {
    this.seen.push(event);
    this.waiting?.();
  }

  async until(type, wanted = () => true) {
    const late = AbortSignal.timeout(LIMIT_MS);
    for (;;) {
      while (this.next < this.seen.length) {
        const event = this.seen[this.next++];
        if (event.type === 'error' && type !== 'error') {
          throw new Error(`${JSON.stringify(event)} while waiting for ${type}`);
        }
        if (event.type === type && wanted(event)) return event;
      }
      await new Promise((resolve, reject) => {
        this.waiting = resolve;
        late.onabort = () => {
          reject(new Error(`no ${type} behind ${this.seen.map((event) => event.type).slice(-25)}`));
        };
      });
    }
  }
}

/** Speaks, then is silent, in real time, until `stop` is called; `send` gets each piece. */
export function microphone(speech, send) {
  let at = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    while (at / MESSAGE_BYTES < (performance.now() - began) / 20) {
      const piece = Buffer.alloc(MESSAGE_BYTES);
      if (at < speech.length) speech.copy(piece, 0, at, at + MESSAGE_BYTES);
      send(piece);
      at += MESSAGE_BYTES;
    }
  }, 20);
  return { stop: () => clearInterval(timer) };
}

/** Runs each scenario on a connection of its own; exits with 1 at the first that fails. */
export async function run(scenarios, open) {
  for (const scenario of scenarios) {
    const { close, ...talk } = await open();
    try {
      await scenario(talk);
      console.log(`${scenario.name}: ok`);
    } catch (error) {
      console.error(`${scenario.name}: FAILED: ${error.stack}`);
      process.exit(1);
    } finally {
      close();
    }
  }
  process.exit(0);
}
