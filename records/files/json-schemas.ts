/** JSON Schemas of the file kinds, for editors. They know the shape; the rules between fields are the loaders'. */
import { z } from 'zod';
import { Fleet } from '../../policies/model/fleet.js';
import { AgentFile, Project } from '../../policies/model/project.js';
import { ReleaseFile } from '../../policies/model/release.js';
import { Strategy } from '../../policies/model/strategy.js';

const SCHEMAS = {
  release: { title: 'Foothold Release', schema: ReleaseFile },
  strategy: { title: 'Foothold Strategy', schema: Strategy },
  fleet: { title: 'Foothold Fleet', schema: Fleet },
  agent: { title: 'Foothold Agent', schema: AgentFile },
  project: { title: 'Foothold Project', schema: Project },
};

/** File name to text, as it lies in `docs/schemas/`. `npm run schemas` writes them. */
export function jsonSchemaFiles(): Map<string, string> {
  return new Map(
    Object.entries(SCHEMAS).map(([name, { title, schema }]) => {
      const { $schema, ...body } = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
      return [`${name}.schema.json`, `${JSON.stringify({ $schema, title, ...body }, null, 2)}\n`];
    }),
  );
}
