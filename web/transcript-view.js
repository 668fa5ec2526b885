// Shows a transcript's entries in a list, and keeps the newest in sight unless the reader scrolled up.

const SPEAKERS = { user: 'You', assistant: 'Vivavoce' };
/** Closer to the end than this counts as reading the end. */
const FOLLOW_PX = 80;

export class TranscriptView {
  #list;
  #scroller;
  #items = new Map(); // entry key → <li>
  #following = true;

  constructor(list, scroller) {
    this.#list = list;
    this.#scroller = scroller;
    scroller.addEventListener('scroll', () => {
      const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
      this.#following = below < FOLLOW_PX;
    });
    // Keyboards of phones, notices and opened details change the room there is.
    new ResizeObserver(() => this.#follow()).observe(scroller);
  }

  /** Shows an entry that is new or different; a new one stands before `before` or at the end. */
  show(entry, before) {
    let item = this.#items.get(entry.key);
    if (!item) {
      item = document.createElement('li');
      this.#items.set(entry.key, item);
      this.#list.insertBefore(item, before ? this.#items.get(before.key) : null);
    }
    fill(item, entry);
    this.#follow();
  }

  #follow() {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

function fill(item, entry) {
  item.hidden = entry.hidden || (entry.text === '' && entry.unheard === '');
  item.dataset.role = entry.role;
  setOrDelete(item.dataset, 'turn', entry.turn);
  setOrDelete(item.dataset, 'outcome', entry.outcome || undefined);
  setOrDelete(item.dataset, 'partial', entry.partial ? 'true' : undefined);

  const words = document.createElement('p');
  words.className = 'words';
  words.append(entry.text);
  if (entry.unheard !== '') {
    const struck = document.createElement('del');
    struck.title = 'not heard: the reply was interrupted before';
    const gap = /^\s*/.exec(entry.unheard)[0]; // a struck-out space would look like a dash
    struck.append(entry.unheard.slice(gap.length));
    words.append(entry.text === '' ? '' : gap, struck);
  }
  const parts = [words];
  if (entry.role in SPEAKERS) parts.unshift(label(SPEAKERS[entry.role], 'speaker'));
  const remark = remarkOn(entry);
  if (remark) parts.push(label(remark, 'remark'));
  item.replaceChildren(...parts);
}

function remarkOn({ role, outcome }) {
  if (outcome === 'interrupted' && role === 'assistant') return 'interrupted';
  if (outcome === 'failed') return role === 'assistant' ? 'broken off by an error' : 'not answered: an error';
  return '';
}

function label(text, className) {
  const span = document.createElement('span');
  span.className = className;
  span.append(text);
  return span;
}

function setOrDelete(dataset, name, value) {
  if (value === undefined || value === null) delete dataset[name];
  else dataset[name] = value;
}
