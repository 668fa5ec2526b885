import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EXAMPLE, factsOf, FactsBox } from '../facts.js';

/** What the box touches of an element. */
class Element extends EventTarget {
  value = '';
  textContent = '';
  dataset = {};
}

function box({ connected = true } = {}) {
  const names = ['form', 'prompt', 'facts', 'note', 'example', 'reset'];
  const elements = Object.fromEntries(names.map((name) => [name, new Element()]));
  const sent = [];
  const gate = { connected };
  const send = (settings) => gate.connected && sent.push(settings) > 0;
  return { box: new FactsBox({ ...elements, send }), sent, gate, ...elements };
}

const fire = (element, type) => element.dispatchEvent(new Event(type, { cancelable: true }));
const CONFIGURED = { type: 'configured', system_prompt: 'Be kind.', facts: ['A is B.', 'C is D.'], voice: null };

test('a fact is a line with something on it', () => {
  assert.deepEqual(factsOf(' A is B. \n\n\t\nC is D.'), ['A is B.', 'C is D.']);
  assert.deepEqual(factsOf(''), []);
});

test('what the operator configured is shown', () => {
  const { box: facts, sent, prompt, facts: text } = box();
  facts.opened();
  assert.deepEqual(sent, [{}]);
  facts.configured(CONFIGURED);
  assert.equal(prompt.value, 'Be kind.');
  assert.equal(text.value, 'A is B.\nC is D.');
});

test('other facts are sent, and sent again on a new connection', () => {
  const { box: facts, sent, form, prompt, facts: text, note } = box();
  facts.opened();
  facts.configured(CONFIGURED);
  text.value = 'E is F.';
  fire(form, 'input');
  assert.match(note.textContent, /not in use/i);
  fire(form, 'submit');
  const ours = { system_prompt: 'Be kind.', facts: ['E is F.'] };
  assert.deepEqual(sent.at(-1), ours);
  facts.configured(ours);
  assert.match(note.textContent, /in use/i);
  facts.opened();
  assert.deepEqual(sent.at(-1), ours);
  assert.equal(prompt.value, 'Be kind.');
});

test('what somebody is writing is not overwritten', () => {
  const { box: facts, form, facts: text } = box();
  facts.configured(CONFIGURED);
  text.value = 'half a fa';
  fire(form, 'input');
  facts.configured(CONFIGURED);
  assert.equal(text.value, 'half a fa');
});

test('the example is used at once, and reset goes back to the operator', () => {
  const { box: facts, sent, example, reset } = box();
  facts.configured(CONFIGURED);
  fire(example, 'click');
  assert.deepEqual(sent.at(-1), EXAMPLE);
  facts.configured(EXAMPLE);
  fire(reset, 'click');
  assert.deepEqual(sent.at(-1), { system_prompt: 'Be kind.', facts: CONFIGURED.facts });
});

test('facts that the server refuses stay in the box and are not sent again', () => {
  const { box: facts, sent, form, facts: text, note } = box();
  facts.configured(CONFIGURED);
  text.value = 'too much';
  fire(form, 'submit');
  facts.refused('facts: at most 500 of them');
  assert.match(note.textContent, /at most 500/);
  assert.equal(text.value, 'too much');
  facts.opened();
  assert.deepEqual(sent.at(-1), {});
});

test('without a connection they wait for one, and the operator’s are not forgotten', () => {
  const { box: facts, sent, note, example, reset, gate } = box({ connected: false });
  fire(example, 'click');
  assert.match(note.textContent, /connection/);
  gate.connected = true;
  facts.opened();
  assert.deepEqual(sent, [{}, EXAMPLE]);
  facts.configured(CONFIGURED);
  facts.configured(EXAMPLE);
  fire(reset, 'click');
  assert.deepEqual(sent.at(-1).facts, CONFIGURED.facts);
});
