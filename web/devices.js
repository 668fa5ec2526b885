// The choice of microphone and loudspeaker. Browsers tell the names only once the microphone is allowed.

export class DeviceChoice {
  #input;
  #output;
  #outputRow;

  /** <select>s; `outputRow` is hidden where the browser cannot choose an output. */
  constructor({ input, output, outputRow, onInput, onOutput }) {
    this.#input = input;
    this.#output = output;
    this.#outputRow = outputRow;
    outputRow.hidden = !('setSinkId' in (globalThis.AudioContext?.prototype ?? {}));
    input.addEventListener('change', () => onInput(input.value));
    output.addEventListener('change', () => onOutput(output.value));
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.refresh());
  }

  get inputId() {
    return this.#input.value;
  }

  async refresh() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    fill(this.#input, devices, 'audioinput', 'Microphone');
    if (!this.#outputRow.hidden) fill(this.#output, devices, 'audiooutput', 'Loudspeaker');
  }
}

function fill(select, devices, kind, name) {
  const chosen = select.value;
  const options = [new Option('System default', '')];
  for (const { kind: itsKind, deviceId, label } of devices) {
    const alias = deviceId === '' || deviceId === 'default' || deviceId === 'communications';
    if (itsKind !== kind || alias) continue;
    options.push(new Option(label || `${name} ${options.length}`, deviceId));
  }
  select.replaceChildren(...options);
  select.value = options.some(({ value }) => value === chosen) ? chosen : '';
}
