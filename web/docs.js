/**
 * Shows /openapi.json for people: each route with its parameters, body and answers. No build step, nothing
 * from elsewhere. Everything is set as text, never as markup.
 */

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
/** Schemas in schemas are written out so deep. */
const DEPTH = 3;

/** An element with properties and children. */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const code = (text) => element('code', { textContent: text });

function table(headings, rows) {
  const cells = (name, values) => element('tr', {}, ...values.map((value) => element(name, {}, value)));
  return element('table', {}, cells('th', headings), ...rows.map((row) => cells('td', row)));
}

/** What a `$ref` stands for; anything else as it is. */
function resolve(api, schema) {
  const name = schema?.$ref?.split('/').at(-1);
  return name ? (api.components?.schemas?.[name] ?? {}) : (schema ?? {});
}

/** A schema in one word: `string`, `array of Segment`, … */
export function typeOf(schema) {
  if (schema === undefined || schema === true) return 'anything';
  if (schema.$ref) return schema.$ref.split('/').at(-1);
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return either.map(typeOf).join(' or ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.type === 'array') return `array of ${typeOf(schema.items)}`;
  const types = Array.isArray(schema.type) ? schema.type : [schema.type ?? 'anything'];
  return types.join(' or ');
}

/** Rows of a table for the properties of a schema, those of its parts below them. */
export function propertyRows(api, schema, prefix = '', depth = DEPTH) {
  const whole = resolve(api, schema);
  const required = new Set(whole.required ?? []);
  return Object.entries(whole.properties ?? {}).flatMap(([name, property]) => {
    const path = prefix + name;
    const parts = [property, property.items, ...(property.oneOf ?? [])].map((part) => resolve(api, part));
    const part = parts.find((candidate) => candidate.properties);
    const about = property.description ?? resolve(api, property).description ?? '';
    const row = [path + (required.has(name) ? ' *' : ''), typeOf(property), about];
    const inside = part && depth > 0 ? propertyRows(api, part, `${path}.`, depth - 1) : [];
    return [row, ...inside];
  });
}

function showSchema(api, schema) {
  const rows = propertyRows(api, schema);
  if (rows.length === 0) return element('p', {}, code(typeOf(schema)));
  return table(
    ['Field', 'Type', ''],
    rows.map(([name, type, about]) => [code(name), code(type), about]),
  );
}

function showOperation(api, path, method, operation) {
  const shown = element(
    'details',
    {},
    element(
      'summary',
      {},
      element('span', { className: 'method', textContent: method.toUpperCase() }),
      code(path),
      element('span', { className: 'summary', textContent: ` ${operation.summary ?? ''}` }),
    ),
  );
  for (const paragraph of (operation.description ?? '').split('\n\n').filter(Boolean)) {
    shown.append(element('p', { textContent: paragraph }));
  }
  const parameters = operation.parameters ?? [];
  if (parameters.length > 0) {
    const rows = parameters.map((parameter) => [
      code(parameter.name + (parameter.required ? ' *' : '')),
      code(typeOf(parameter.schema)),
      `${parameter.description ?? ''} (${parameter.in})`,
    ]);
    shown.append(element('h3', { textContent: 'Parameters' }), table(['Name', 'Type', ''], rows));
  }
  for (const [mime, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    shown.append(element('h3', {}, 'Body: ', code(mime)), showSchema(api, schema));
  }
  shown.append(element('h3', { textContent: 'Answers' }));
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    const kinds = Object.entries(answer.content ?? {});
    const names = kinds.map(([mime, { schema }]) => `${mime}: ${typeOf(schema)}`).join(', ');
    shown.append(element('p', {}, code(status), ` ${answer.description} `, code(names)));
    const [, { schema }] = status.startsWith('2') && kinds.length > 0 ? kinds[0] : ['', {}];
    if (schema?.$ref) shown.append(showSchema(api, schema));
  }
  return shown;
}

/** All operations, by their tag. */
export function byTag(api) {
  const tags = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] ?? 'other';
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push({ path, method, operation: item[method] });
    }
  }
  return tags;
}

async function show() {
  const answer = await fetch('openapi.json');
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const api = await answer.json();
  document.getElementById('title').textContent = `${api.info.title} ${api.info.version}: the interface`;
  document.getElementById('about').textContent = api.info.description ?? '';
  const routes = document.getElementById('routes');
  for (const [tag, operations] of byTag(api)) {
    routes.append(element('h2', { textContent: tag }));
    for (const { path, method, operation } of operations) {
      routes.append(showOperation(api, path, method, operation));
    }
  }
}

if (globalThis.document) {
  show().catch((error) => {
    const problem = document.getElementById('problem');
    problem.textContent = `The description could not be shown: ${error.message}`;
    problem.hidden = false;
  });
}
