import assert from 'node:assert/strict';
import { test } from 'node:test';

import { byTag, propertyRows, typeOf } from '../docs.js';

test('a type is one word', () => {
  for (const [schema, shown] of [
    [{ type: 'string' }, 'string'],
    [{ type: ['string', 'null'] }, 'string or null'],
    [{ $ref: '#/components/schemas/Model' }, 'Model'],
    [{ type: 'array', items: { $ref: '#/components/schemas/Model' } }, 'array of Model'],
    [{ oneOf: [{ type: 'null' }, { type: 'integer' }] }, 'null or integer'],
    [{ enum: ['a', 1] }, '"a" or 1'],
    [{}, 'anything'],
    [undefined, 'anything'],
  ]) {
    assert.equal(typeOf(schema), shown);
  }
});

test('properties are listed with those of their parts', () => {
  const schemas = {
    List: { required: ['data'], properties: { data: { type: 'array', items: { $ref: '#/c/schemas/Item' } } } },
    Item: { description: 'One of them', properties: { id: { type: 'string', description: 'Its name' } } },
  };
  const api = { components: { schemas } };
  assert.deepEqual(propertyRows(api, { $ref: '#/components/schemas/List' }), [
    ['data *', 'array of Item', ''],
    ['data.id', 'string', 'Its name'],
  ]);
});

test('a schema that contains itself comes to an end', () => {
  const api = { components: { schemas: { Tree: { properties: { below: { $ref: '#/components/schemas/Tree' } } } } } };
  assert.equal(propertyRows(api, { $ref: '#/components/schemas/Tree' }).length, 4);
});

test('operations are found by their tags', () => {
  const api = { paths: { '/a': { get: { tags: ['x'] }, post: {} }, '/b': { get: { tags: ['x'] } } } };
  const found = [...byTag(api)].map(([tag, all]) => [tag, all.map(({ path, method }) => `${method} ${path}`)]);
  assert.deepEqual(found, [
    ['x', ['get /a', 'get /b']],
    ['other', ['post /a']],
  ]);
});
