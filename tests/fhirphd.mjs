// PhdRtsaObservation of HL7's Personal Health Device guide (hl7.fhir.uv.phd) as a profile for medplum's validator: what it
// and its base, PhdBaseObservation, demand of an Observation of a waveform, written anew on top of R4's own Observation.
export const URL = 'http://hl7.org/fhir/uv/phd/StructureDefinition/PhdRtsaObservation';

const CATEGORY = 'http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories';
const MDC = 'urn:iso:std:iso:11073:10101';
const UCUM = 'http://unitsofmeasure.org';

const LISTED = ['Coding', 'CodeableConcept']; // what R4 has lists of, of all that is said here
const element = (id, min, max, type, more = {}) => ({
  id, path: id.replaceAll(/:\w+/g, ''), min, max: String(max), base: { min: 0, max: LISTED.includes(type) ? '*' : '1' },
  type: [{ code: type }], ...more,
});
const sliced = (...paths) =>
  ({ slicing: { discriminator: paths.map((path) => ({ type: 'value', path })), ordered: false, rules: 'open' } });

// What is said otherwise than in R4, and what is put behind an element.
const CHANGED = {
  'Observation.meta': { min: 1 },
  'Observation.category': { min: 1, ...sliced('coding.code', 'coding.system') },
  'Observation.subject': { min: 1 },
  'Observation.effective[x]': { min: 1, type: [{ code: 'dateTime' }, { code: 'Period' }] },
  'Observation.value[x]': { type: [{ code: 'SampledData' }] },
  'Observation.device': { min: 1 },
};
const PUT_BEHIND = {
  'Observation.category': [
    element('Observation.category:phd', 1, 1, 'CodeableConcept', { sliceName: 'phd' }),
    element('Observation.category:phd.coding', 1, '*', 'Coding'),
    element('Observation.category:phd.coding.system', 1, 1, 'uri', { fixedUri: CATEGORY }),
    element('Observation.category:phd.coding.code', 1, 1, 'code', { fixedCode: 'phd-observation' }),
  ],
  'Observation.code': [
    element('Observation.code.coding', 1, '*', 'Coding', sliced('system')),
    element('Observation.code.coding:mdc', 1, 1, 'Coding', { sliceName: 'mdc' }),
    element('Observation.code.coding:mdc.system', 1, 1, 'uri', { fixedUri: MDC }),
    element('Observation.code.coding:mdc.code', 1, 1, 'code'),
  ],
  'Observation.value[x]': [
    element('Observation.value[x].origin', 1, 1, 'Quantity'),
    element('Observation.value[x].origin.value', 1, 1, 'decimal'),
    element('Observation.value[x].origin.system', 1, 1, 'uri', { fixedUri: UCUM }),
    element('Observation.value[x].origin.code', 1, 1, 'code'),
    element('Observation.value[x].factor', 1, 1, 'decimal'),
  ],
};

// observation: R4's own StructureDefinition.
export function phdRtsa(observation) {
  const elements = observation.snapshot.element.flatMap((each) =>
    [{ ...each, ...CHANGED[each.id] }, ...(PUT_BEHIND[each.id] ?? [])]);
  return { ...observation, id: 'PhdRtsaObservation', name: 'PhdRtsaObservation', url: URL, derivation: 'constraint',
    snapshot: { element: elements } };
}
