// Messages to the person, above everything else: one per key, each until it is cleared or dismissed.
// The container is a polite live region, so screen readers say them.

export class Notices {
  #container;
  #shown = new Map();

  constructor(container) {
    this.#container = container;
  }

  /**
   * Shows or replaces the notice `key`. `tone`: info · warning · error. `actions`: elements.
   * `detail`: [question, answer], unfolded on demand.
   * The same text again changes nothing, so that nobody hears it twice.
   */
  show(key, text, { tone = 'warning', detail = null, actions = [], dismissable = true } = {}) {
    const before = this.#shown.get(key);
    if (before?.text === text) return;
    before?.element.remove();
    const element = document.createElement('div');
    element.className = 'notice';
    element.dataset.tone = tone;
    element.dataset.notice = key;
    const words = document.createElement('p');
    words.append(text);
    element.append(words, ...actions);
    if (detail) element.append(unfolding(...detail));
    if (dismissable) element.append(dismissal(() => this.clear(key)));
    this.#container.append(element);
    this.#shown.set(key, { text, element });
  }

  clear(key) {
    this.#shown.get(key)?.element.remove();
    this.#shown.delete(key);
  }
}

function unfolding(question, answer) {
  const details = document.createElement('details');
  const summary = document.createElement('summary');
  summary.append(question);
  const words = document.createElement('p');
  words.append(answer);
  details.append(summary, words);
  return details;
}

function dismissal(onClick) {
  const cross = button('×', onClick, 'dismiss');
  cross.setAttribute('aria-label', 'Dismiss');
  return cross;
}

export function button(label, onClick, className = '') {
  const element = document.createElement('button');
  element.type = 'button';
  element.className = className;
  element.append(label);
  element.addEventListener('click', onClick);
  return element;
}

/** A small form that asks for an access token. */
export function tokenForm(onToken) {
  const form = document.createElement('form');
  form.className = 'token';
  const input = document.createElement('input');
  input.type = 'password';
  input.autocomplete = 'off';
  input.required = true;
  input.setAttribute('aria-label', 'Access token');
  input.placeholder = 'Access token';
  const submit = button('Connect', () => {});
  submit.type = 'submit';
  form.append(input, submit);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    onToken(input.value.trim());
  });
  return form;
}
