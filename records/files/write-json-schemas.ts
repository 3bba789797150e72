/** `npm run schemas`: writes the JSON Schemas of the file kinds into `docs/schemas/` of the working directory. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonSchemaFiles } from './json-schemas.js';

const directory = join('docs', 'schemas');
await mkdir(directory, { recursive: true });
for (const [name, text] of jsonSchemaFiles()) await writeFile(join(directory, name), text);
