// What the page says when something does not work: the thing, and what to do about it.

export const MICROPHONE_PROBLEMS = {
  insecure:
    'The browser only allows the microphone over HTTPS or on localhost. TLS comes with a later ' +
    'version of this server. Typing works: the replies are spoken here.',
  unsupported: 'This browser cannot record audio for web pages. Typing works.',
  refused:
    'The microphone is not allowed. Allow it for this page in the browser (the symbol beside the ' +
    'address) and press the button again. Typing works.',
  absent: 'No microphone was found. Connect one and press the button again. Typing works.',
  taken:
    'The microphone cannot be opened; another program may be using it. Close that program and ' +
    'press the button again. Typing works.',
  lost: 'The microphone was disconnected. Connect it and press the button again.',
  unknown: 'The microphone could not be started. Typing works.',
};

const CONNECTION_PROBLEMS = {
  busy: 'The server is busy: all its places are taken. Trying again by itself.',
  restart: 'The server is restarting. Reconnecting by itself.',
  lost: 'The connection was lost. Reconnecting by itself.',
  unreachable: 'The server cannot be reached. Trying again by itself.',
  access:
    'The server asks for an access token. Open the address that it printed at its first start, ' +
    'or enter the token here.',
  refused: 'The server closed the session.',
  too_big: 'The server closed the session: a message was too big.',
  done: 'The conversation has ended. Press the button or send a message to go on.',
};

/** What to say about a connection that ended; `reason` is what the server said, if anything. */
export function connectionProblem(kind, reason) {
  const text = CONNECTION_PROBLEMS[kind] ?? CONNECTION_PROBLEMS.lost;
  return reason && kind !== 'done' ? `${text} (${reason})` : text;
}

export const NO_LANGUAGE_MODEL = {
  title: 'No language model is connected; replies just repeat what was heard.',
  question: 'How to connect one',
  answer:
    'Set llm.engine to auto in config.yml and restart this server: a model of its own answers then, ' +
    'or an OpenAI-compatible server (LM Studio, Ollama, llama.cpp, vLLM) at llm.url.',
};
