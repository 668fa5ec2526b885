// The microphone: off until asked for, 20 ms messages of 16 kHz PCM while on.

/** Why there is no microphone. `kind` is one of the keys of `MICROPHONE_PROBLEMS` in problems.js. */
export class MicrophoneError extends Error {
  constructor(kind, cause) {
    super(`microphone: ${kind}`, { cause });
    this.kind = kind;
  }
}

/** Whether this page may ask for a microphone at all. */
export function microphoneObstacle(scope = globalThis) {
  if (!scope.isSecureContext) return 'insecure';
  if (!scope.navigator?.mediaDevices?.getUserMedia || !scope.AudioWorkletNode) return 'unsupported';
  return null;
}

/** Which of the known problems an exception of getUserMedia is. */
export function microphoneProblem(error) {
  switch (error?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'refused';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'absent';
    case 'NotReadableError':
    case 'AbortError':
      return 'taken';
    default:
      return 'unknown';
  }
}

export class Microphone {
  #stream = null;
  #nodes = [];
  #loadedInto = null;
  #attempt = 0; // a start that was overtaken by stop or another start gives its stream back
  #onAudio;
  #onLost;

  /** `onAudio(ArrayBuffer, { rms, peak })`; `onLost()` when the device goes away. */
  constructor({ onAudio, onLost }) {
    this.#onAudio = onAudio;
    this.#onLost = onLost;
  }

  get on() {
    return this.#stream !== null;
  }

  /** Id of the device in use, or ''. */
  get deviceId() {
    return this.#stream?.getAudioTracks()[0]?.getSettings().deviceId ?? '';
  }

  /** Rejects with MicrophoneError. Resolves to false if it was stopped in the meantime. */
  async start(context, deviceId = '') {
    this.stop();
    const attempt = this.#attempt;
    const obstacle = microphoneObstacle();
    if (obstacle) throw new MicrophoneError(obstacle);
    let stream;
    try {
      stream = await openStream(deviceId);
      if (this.#loadedInto !== context) {
        await context.audioWorklet.addModule(new URL('capture-worklet.js', import.meta.url));
        this.#loadedInto = context;
      }
    } catch (error) {
      release(stream);
      throw new MicrophoneError(microphoneProblem(error), error);
    }
    if (attempt !== this.#attempt) {
      release(stream);
      return false;
    }
    const source = context.createMediaStreamSource(stream);
    const capture = new AudioWorkletNode(context, 'vivavoce-capture', { numberOfOutputs: 0 });
    capture.port.onmessage = ({ data }) => {
      if (this.#stream === stream) this.#onAudio(data.pcm, data);
    };
    source.connect(capture);
    stream.getAudioTracks()[0].onended = () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.#onLost();
    };
    this.#stream = stream;
    this.#nodes = [source, capture];
    return true;
  }

  stop() {
    this.#attempt += 1;
    for (const node of this.#nodes) node.disconnect();
    this.#nodes = [];
    release(this.#stream);
    this.#stream = null;
  }
}

async function openStream(deviceId) {
  const audio = {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
  };
  if (!deviceId) return navigator.mediaDevices.getUserMedia({ audio });
  try {
    const exact = { ...audio, deviceId: { exact: deviceId } };
    return await navigator.mediaDevices.getUserMedia({ audio: exact });
  } catch (error) {
    // The chosen device has been unplugged: any other is better than none.
    if (error.name !== 'OverconstrainedError' && error.name !== 'NotFoundError') throw error;
    return navigator.mediaDevices.getUserMedia({ audio });
  }
}

function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
