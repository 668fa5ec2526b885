// How long each stage of the last turns took, from the `metrics` messages.

/** Columns in the order of the flow. `hint` says from when to when. */
export const STAGES = [
  { field: 'endpoint', name: 'Pause', hint: 'end of your voice → decision that you are done' },
  { field: 'asr', name: 'Recognise', hint: 'decision → final transcript' },
  { field: 'llm_first_token', name: 'Think', hint: 'transcript → first words of the language model' },
  { field: 'tts_first_audio', name: 'Voice', hint: 'first segment → its first audio' },
  { field: 'first_audio', name: 'First audio', hint: 'decision → first audio sent' },
  { field: 'total', name: 'Total', hint: 'decision → end of the turn' },
];

/** 12.3 → "12 ms", 0.4 → "0.4 ms", 1234 → "1.23 s", 12345 → "12.3 s"; a stage that did not happen → "–". */
export function formatMs(ms) {
  if (typeof ms !== 'number' || !Number.isFinite(ms)) return '–';
  if (ms >= 9_995) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(2)} s`;
  return ms < 10 && !Number.isInteger(ms) ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The last `capacity` turns, newest first. */
export class LatencyLog {
  #rows = [];

  constructor(capacity = 3) {
    this.capacity = capacity;
  }

  get rows() {
    return this.#rows;
  }

  /** Takes a `metrics` message. */
  add(message) {
    const cells = STAGES.map(({ field }) => formatMs(message[field]));
    this.#rows = [{ turn: message.turn_id, cells }, ...this.#rows].slice(0, this.capacity);
  }
}

/** Writes the log into a table that has a <thead> and a <tbody>. */
export function showLatency(table, log) {
  const cell = (tag, text, attributes = {}) =>
    Object.assign(document.createElement(tag), { textContent: text, ...attributes });
  const head = document.createElement('tr');
  head.append(cell('th', 'Turn', { scope: 'col' }));
  for (const { name, hint } of STAGES) head.append(cell('th', name, { scope: 'col', title: hint }));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(
    ...log.rows.map(({ turn, cells }) => {
      const row = document.createElement('tr');
      row.dataset.turn = turn;
      row.append(cell('th', String(turn), { scope: 'row' }), ...cells.map((text) => cell('td', text)));
      return row;
    }),
  );
}
