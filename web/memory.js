/**
 * The page of what is remembered: lists, corrects and deletes memories by /api/memories. The token is kept
 * for this page view only. Everything is set as text, never as markup.
 */

/** The request that asks for memories: its path. */
export function pathOf(words) {
  const query = words.trim();
  return query ? `api/memories?query=${encodeURIComponent(query)}` : 'api/memories';
}

/** What a refusal says, for people. */
export function problemOf(status, body) {
  return body?.error?.message ?? `the server answered with status ${status}`;
}

/** A day, as people here write it. */
export function dayOf(seconds, locale) {
  return new Date(seconds * 1000).toLocaleDateString(locale, { dateStyle: 'medium', timeZone: 'UTC' });
}

function start() {
  const field = (id) => document.getElementById(id);

  function show(problem) {
    field('problem').hidden = !problem;
    field('problem').textContent = problem ?? '';
  }

  async function ask(path, options = {}) {
    const token = field('token').value.trim();
    const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    const body = response.status === 204 ? null : await response.json().catch(() => null);
    if (!response.ok) throw new Error(problemOf(response.status, body));
    return body;
  }

  function button(text, act) {
    const made = document.createElement('button');
    Object.assign(made, { type: 'button', textContent: text });
    made.addEventListener('click', () => act().then(() => show(), (error) => show(error.message)));
    return made;
  }

  function row(memory) {
    const path = `api/memories/${encodeURIComponent(memory.id)}`;
    const made = document.createElement('details');
    const head = document.createElement('summary');
    const text = document.createElement('textarea');
    const about = document.createElement('p');
    head.textContent = memory.text;
    Object.assign(text, { value: memory.text, rows: 3, maxLength: 2000, ariaLabel: 'the memory' });
    about.className = 'summary';
    about.textContent = `${memory.person}, ${dayOf(memory.said_at)}`;
    const correct = button('Correct', async () => {
      const body = JSON.stringify({ text: text.value });
      const corrected = await ask(path, { method: 'PATCH', body });
      head.textContent = corrected.text;
      made.open = false;
    });
    const remove = button('Delete', async () => {
      await ask(path, { method: 'DELETE' });
      made.remove();
      count();
    });
    made.append(head, about, text, document.createElement('br'), correct, ' ', remove);
    return made;
  }

  function count() {
    const there = field('memories').childElementCount;
    field('count').textContent = there === 0 ? 'Nothing is remembered.' : there === 1 ? 'One memory.' : `${there} memories.`;
  }

  async function list() {
    const { memories } = await ask(pathOf(field('words').value));
    field('memories').replaceChildren(...memories.map(row));
    count();
    show();
  }

  field('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    list().catch((error) => show(error.message));
  });
  list().catch((error) => show(error.message));
}

if (typeof document !== 'undefined') start();
