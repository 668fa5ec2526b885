// "What it knows": the instructions and facts of this conversation, for the person to read and to try
// others. They last as long as the page: a new connection gets them again.

/** One fact a line; empty lines do not count. */
export function factsOf(text) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** A place that nobody has been to, so that a right answer can only come from here. */
export const EXAMPLE = {
  system_prompt: 'You are Ottilie, the receptionist of the Brunswater Museum.',
  facts: [
    'The museum is open from nine until half past five.',
    'The tea room is on the second floor.',
    'The toilet is behind the gift shop.',
    'A child ticket costs four pounds.',
    'Dogs are only allowed outside.',
    'The whale talk starts at quarter past two.',
    'Doctor Marlow runs the archive.',
  ],
};

export class FactsBox {
  #form;
  #prompt;
  #facts;
  #note;
  #send;
  #configured = null; // what the operator configured
  #ours = null; // what the person wants instead
  #edited = false;

  /**
   * `form` with two <textarea>s, `prompt` and `facts`, a `note` and the buttons `example` and `reset`.
   * `send(settings)`: a `configure` message; {} only asks what is in force.
   */
  constructor({ form, prompt, facts, note, example, reset, send }) {
    this.#form = form;
    this.#prompt = prompt;
    this.#facts = facts;
    this.#note = note;
    this.#send = send;
    form.addEventListener('input', () => this.#say('Not in use yet.', true));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#use({ system_prompt: prompt.value.trim(), facts: factsOf(facts.value) });
    });
    example.addEventListener('click', () => this.#use(EXAMPLE));
    reset.addEventListener('click', () => this.#configured && this.#use(this.#configured));
  }

  /** A new session: its settings are the operator's until it has got the person's. */
  opened() {
    this.#configured = null;
    this.#send({});
    if (this.#ours) this.#send(this.#ours);
  }

  /** These settings are in force now. */
  configured({ system_prompt, facts }) {
    const isAnswerToOpened = this.#configured === null;
    this.#configured ??= { system_prompt, facts };
    if (this.#edited || (isAnswerToOpened && this.#ours)) return;
    this.#show({ system_prompt, facts });
    this.#say(this.#ours ? 'In use from your next words on.' : '', false);
  }

  /** The server did not take them. */
  refused(reason) {
    this.#ours = null;
    this.#say(`Not in use: ${reason}`, true);
  }

  #use(settings) {
    this.#ours = settings;
    this.#edited = false;
    this.#show(settings);
    if (!this.#send(settings)) this.#say('In use as soon as there is a connection.', false);
  }

  #show({ system_prompt, facts }) {
    this.#prompt.value = system_prompt;
    this.#facts.value = facts.join('\n');
  }

  #say(text, edited) {
    this.#note.textContent = text;
    this.#edited = edited;
    this.#form.dataset.edited = edited;
  }
}
