/** What the control worker's activities work with. */
import type { CatchUpPace } from '../../policies/catch-up/pace.js';
import type { Client } from '@temporalio/client';
import type { Registry } from '../../records/registry/registry.js';
import type { Depot } from '../../records/depot/open-depot.js';

export interface ControlDeps {
  registry: Registry;
  depot: Depot;
  /** The worker's own foothold.yaml: read again for every plan, so that edits need no restart. */
  projectPath: string;
  /** Ed25519 private key, PKCS8 PEM. Never logged, never in a failure. */
  controlKeyPem: string;
  /** Where it is kept: with it, commands are signed by both keys of a rotation. Without, by `controlKeyPem` alone. */
  controlKeyPath?: string;
  prometheusUrl?: string;
  client: Client;
  /** How fast returning sites are brought up to date, where it differs from the defaults. */
  catchUpPace?: Partial<CatchUpPace>;
  now: () => number;
}
