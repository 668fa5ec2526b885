import assert from 'node:assert/strict';
import { test } from 'node:test';

import { joinSegments, splitHeard, Transcript } from '../transcript.js';

const SPLITS = [
  // [what, text, heard, expected heard, expected unheard]
  ['a beginning', 'One two three.', 'One two', 'One two', ' three.'],
  ['nothing', 'One two three.', '', '', 'One two three.'],
  ['all of it', 'One two three.', 'One two three.', 'One two three.', ''],
  ['repeated words: the count decides, not the word', 'no no no yes', 'no no', 'no no', ' no yes'],
  ['a repeated sentence', 'Go on. Go on. Stop.', 'Go on. Go on.', 'Go on. Go on.', ' Stop.'],
  ['white space of the server differs', 'One  two\nthree four', 'One two three', 'One  two\nthree', ' four'],
  ['white space at its ends', 'One two three', '  One two ', 'One two', ' three'],
  ['no white space at all', '今日は天気です', '今日は', '今日は', '天気です'],
  ['characters beyond the first plane', '😀 hi 😀 there', '😀 hi', '😀 hi', ' 😀 there'],
  ['a word cut in the middle', 'extraordinary', 'extra', 'extra', 'ordinary'],
  ["other words than the page's: the server's stand", 'It is 5 km away', 'It is five', 'It is five', ' km away'],
  ['more than the page has', 'One two', 'One two three', 'One two three', ''],
];

for (const [what, text, heard, expectedHeard, expectedUnheard] of SPLITS) {
  test(`heard and unheard: ${what}`, () => {
    assert.deepEqual(splitHeard(text, heard), { heard: expectedHeard, unheard: expectedUnheard });
  });
}

test('segments are joined with one space where words have spaces', () => {
  assert.equal(joinSegments('', 'One.'), 'One.');
  assert.equal(joinSegments('One.', 'Two.'), 'One. Two.');
  assert.equal(joinSegments('One. ', 'Two.'), 'One. Two.');
  assert.equal(joinSegments('One.', '\nTwo.'), 'One.\nTwo.');
  assert.equal(joinSegments('はい。', '天気です。'), 'はい。天気です。');
});

/** The transcript after some messages, as lines: `role turn [outcome] text~unheard~`. */
function lines(transcript) {
  return transcript.entries
    .filter(({ hidden }) => !hidden)
    .map(({ role, turn, outcome, partial, text, unheard }) =>
      [role, turn ?? '-', outcome, partial ? '…' : '', unheard ? `${text}~${unheard}~` : text]
        .filter((part) => part !== '')
        .join(' '),
    );
}

function told(...messages) {
  const transcript = new Transcript(() => {});
  for (const message of messages) {
    if (typeof message === 'string') transcript.typed(message);
    else transcript.apply(message);
  }
  return lines(transcript);
}

const heard = (turn_id, text) => ({ type: 'transcript', turn_id, text });
const partial = (turn_id, text) => ({ type: 'partial_transcript', turn_id, text });
const segment = (turn_id, segment_id, text) => ({ type: 'response_text', turn_id, segment_id, text, final: false });
const whole = (turn_id, text) => ({ type: 'response_text', turn_id, segment_id: 9, text, final: true });
const interrupt = (turn_id, heard_text) => ({ type: 'interrupt', turn_id, heard_text, reason: 'speech' });
const end = (turn_id, outcome) => ({ type: 'turn_end', turn_id, outcome });
const status = (state, turn_id) => ({ type: 'status', state, turn_id });

test('a spoken turn: the partial words give way to the final ones', () => {
  const before = [partial(1, 'what is'), partial(1, 'what is the')];
  assert.deepEqual(told(...before), ['user 1 … what is the']);
  assert.deepEqual(
    told(...before, heard(1, 'What is it?'), segment(1, 0, 'A lake.'), segment(1, 1, 'Deep.'), whole(1, 'A lake. Deep.'), end(1, 'completed')),
    ['user 1 completed What is it?', 'assistant 1 completed A lake. Deep.'],
  );
});

test('an interrupted reply keeps what was heard and strikes out the rest', () => {
  assert.deepEqual(
    told(heard(1, 'Go'), segment(1, 0, 'One two.'), segment(1, 1, 'Three four.'), interrupt(1, 'One two. Three'), end(1, 'interrupted')),
    ['user 1 interrupted Go', 'assistant 1 interrupted One two. Three~ four.~'],
  );
});

test('a reply of which nothing was heard is struck out as a whole', () => {
  assert.deepEqual(told(segment(1, 0, 'One two.'), interrupt(1, '')), ['assistant 1 interrupted ~One two.~']);
});

test('a second interrupt of a turn corrects the first', () => {
  const amended = told(segment(1, 0, 'One two three.'), interrupt(1, 'One two'), interrupt(1, 'One'));
  assert.deepEqual(amended, ['assistant 1 interrupted One~ two three.~']);
});

test('text of an interrupted reply that comes late changes nothing', () => {
  const late = told(segment(1, 0, 'One two.'), interrupt(1, 'One'), segment(1, 1, 'Three.'));
  assert.deepEqual(late, ['assistant 1 interrupted One~ two.~']);
});

test('an interrupt before any text leaves no entry', () => {
  assert.deepEqual(told(heard(1, 'Go'), interrupt(1, ''), end(1, 'interrupted')), ['user 1 interrupted Go']);
});

test('empty and superseded turns disappear; the joined one stays', () => {
  assert.deepEqual(told(partial(1, 'hm'), heard(1, ''), end(1, 'empty')), []);
  assert.deepEqual(told(partial(1, 'hm'), end(1, 'empty')), []);
  assert.deepEqual(
    told(heard(1, 'I want'), end(1, 'superseded'), heard(2, 'I want a dog')),
    ['user 2 I want a dog'],
  );
});

test('typed words are there at once and get the turn that answers them', () => {
  assert.deepEqual(told('Hello'), ['user - Hello']);
  assert.deepEqual(
    told('Hello', status('thinking', 4), segment(4, 0, 'Hi.'), end(4, 'completed')),
    ['user 4 completed Hello', 'assistant 4 … Hi.'].map((line) => line.replace('4 … Hi', '4 completed Hi')),
  );
});

test('two typed turns get their turns in order', () => {
  assert.deepEqual(
    told('One', 'Two', end(1, 'interrupted'), status('thinking', 2)),
    ['user 1 interrupted One', 'user 2 Two'],
  );
});

test('typed words during a reply do not become the words of the interrupted turn', () => {
  assert.deepEqual(
    told(heard(1, 'Go'), status('speaking', 1), segment(1, 0, 'One two.'), 'Stop', interrupt(1, 'One'), end(1, 'interrupted'), status('thinking', 2), segment(2, 0, 'Yes.')),
    ['user 1 interrupted Go', 'assistant 1 interrupted One~ two.~', 'user 2 Stop', 'assistant 2 … Yes.'],
  );
});

test('words that are recognised after the reply began stand before it', () => {
  assert.deepEqual(told(segment(1, 0, 'Yes.'), heard(1, 'Really?')), ['user 1 Really?', 'assistant 1 … Yes.']);
});

test('a tool is a note, completed by what it gave, and the reply stands behind it', () => {
  const call = (name) => ({ type: 'tool_call', turn_id: 1, name, arguments: '{}' });
  const result = (name, summary) => ({ type: 'tool_result', turn_id: 1, name, summary });
  assert.deepEqual(
    told('Hi', call('now'), call('now'), result('now', 'noon'), segment(1, 0, 'It is noon.'), result('look', 'dark')),
    [
      'user 1 Hi',
      'note 1 Uses the tool now: noon',
      'note 1 Uses the tool now',
      'assistant 1 … It is noon.',
      'note 1 Uses the tool look: dark',
    ],
  );
});

test('what bridges the wait for a tool is no part of the reply', () => {
  const filler = { ...segment(1, 0, 'One moment, please.'), filler: true };
  assert.deepEqual(
    told(heard(1, 'Go'), filler, segment(1, 1, 'One two.'), interrupt(1, 'One')),
    ['user 1 Go', 'note 1 One moment, please.', 'assistant 1 interrupted One~ two.~'],
  );
});

test('a clip brings its whole text', () => {
  const clip = { type: 'speaking_clip', turn_id: 1, text: 'One two.' };
  assert.deepEqual(told(clip, end(1, 'completed')), ['assistant 1 completed One two.']);
});

test('after a restart the same turn id is another turn', () => {
  const transcript = new Transcript(() => {});
  transcript.apply(heard(1, 'Before'));
  transcript.restart('A new conversation');
  transcript.apply(heard(1, 'After'));
  assert.deepEqual(lines(transcript), ['user 1 Before', 'note - A new conversation', 'user 1 After']);
});

test('what was under way when the connection was lost is not waited for', () => {
  const transcript = new Transcript(() => {});
  for (const message of [segment(1, 0, 'One.'), partial(2, 'what')]) transcript.apply(message);
  transcript.restart('');
  assert.deepEqual(lines(transcript), ['assistant 1 One.']);
});

test('every change is shown, new entries with their place', () => {
  const shown = [];
  const transcript = new Transcript((entry, before) => shown.push([entry.key, before?.key]));
  transcript.apply(segment(1, 0, 'Yes.'));
  transcript.apply(heard(1, 'Really?'));
  assert.deepEqual(shown, [[0, undefined], [0, undefined], [1, 0], [1, undefined]]);
});
