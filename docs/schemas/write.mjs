/** Writes the JSON Schemas of this folder from the build: `npm run schemas`. A test finds them out of date. */
import { writeFile } from 'node:fs/promises';
import { jsonSchemaFiles } from '../../dist/records/files/json-schemas.js';

for (const [name, text] of jsonSchemaFiles()) await writeFile(new URL(name, import.meta.url), text);
