import assert from 'node:assert/strict';
import test from 'node:test';

import { dayOf, pathOf, problemOf } from '../memory.js';

test('words become a query, whatever is in them', () => {
  assert.equal(pathOf('  '), 'api/memories');
  assert.equal(pathOf(' tea & cake? '), 'api/memories?query=tea%20%26%20cake%3F');
});

test('a refusal says what the server says', () => {
  assert.equal(problemOf(401, { error: { message: 'a token is needed' } }), 'a token is needed');
  assert.equal(problemOf(502, null), 'the server answered with status 502');
});

test('a day is a day', () => {
  assert.equal(dayOf(0, 'en-GB'), '1 Jan 1970');
});
