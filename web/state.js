// What the page says and looks like in each state. Pure.

const REPLYING = new Set(['thinking', 'speaking', 'rendering']);

/** Whether there is a reply, or one in the making. */
export function isReplying(state) {
  return REPLYING.has(state);
}

const TITLES = {
  user_speaking: ['Hearing you', 'Pause when you are done'],
  transcribing: ['Understanding', 'Turning your words into text'],
  thinking: ['Thinking', 'The answer is on its way'],
  rendering: ['Preparing the video', 'The answer is on its way'],
  speaking: ['Speaking', 'Talk over it or stop it'],
};

/** Title, hint, look (for the style sheet) and whether there is a reply that can be stopped. */
export function describeState({ connection, state, microphone, held, sounding }) {
  const replying = connection === 'open' && (isReplying(state) || sounding);
  if (connection === 'connecting') return say('Connecting', 'One moment', 'offline', replying);
  if (connection === 'waiting') return say('Not connected', 'Trying again by itself', 'offline', replying);
  if (connection === 'closed') return say('Not connected', 'Press the button to connect', 'offline', replying);
  if (held) return say('Holding', 'Did you say something?', 'user_speaking', replying);
  // The last of a reply may still be in the queue when the server is done with it.
  const shown = sounding && state === 'listening' ? 'speaking' : state;
  if (shown in TITLES) return say(...TITLES[shown], shown, replying);
  if (microphone === 'starting') return say('Starting', 'Allow the microphone if the browser asks', 'ready', replying);
  if (microphone === 'unavailable') return say('Ready', 'Type to talk with it', 'ready', replying);
  if (microphone === 'off') return say('Ready', 'Press and talk, or type', 'ready', replying);
  return say('Listening', 'Say something', 'listening', replying);
}

function say(title, hint, look, replying) {
  return { title, hint, look, replying };
}

/** The `engines` of the `session` message as [task, name] in the order of the flow. */
export function engineNames(engines) {
  const tasks = {
    vad: 'Voice detection',
    turn: 'End of turn',
    asr: 'Recognition',
    llm: 'Language model',
    tts: 'Voice',
    video: 'Video',
  };
  return Object.entries(tasks).map(([field, task]) => {
    const model = engines[`${field}_model`];
    // Without a model for it, turns end when a pause is long enough.
    const absent = field === 'turn' ? 'by pauses' : 'off';
    return [task, engineName(engines[field], absent) + (model ? ` (${model})` : '')];
  });
}

function engineName(value, absent) {
  if (value === null || value === undefined || value === '' || value === false) return absent;
  return String(value);
}
