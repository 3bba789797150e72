/** Files that people wrote, as they were imported; which releases are blocked for their stream, and what a person has allowed. */

export type DocumentKind = 'fleet' | 'strategy';

/** A file as it was imported: `body` is its parsed, filled form; `digest` the sha256 of its JCS form. */
export interface ImportedDocument {
  kind: DocumentKind;
  name: string;
  digest: string;
  body: unknown;
  importedAt: number;
}

export interface Block {
  stream: string;
  digest: string;
  version: string;
  rollout: string;
  at: number;
}

/** In place of a site: the block of the stream, and no quarantine. No site can have this name. */
export const BLOCK_ALONE = '@stream';

export interface KnownFiles {
  importDocument(
    document: Omit<ImportedDocument, 'importedAt'>,
    now: number,
  ): Promise<{ changed: boolean; before?: string }>;
  /** The latest import of a name. */
  latestDocument(kind: DocumentKind, name: string): Promise<ImportedDocument | undefined>;
  documents(kind: DocumentKind): Promise<ImportedDocument[]>;
  block(block: Block): Promise<void>;
  blocks(stream: string): Promise<Block[]>;
  /**
   * From `now` on lifts with `site` the quarantine there, with `BLOCK_ALONE` the block of (stream, digest), and without
   * either the block and the quarantine at every site.
   */
  allow(
    stream: string,
    digest: string,
    site: string | undefined,
    by: string,
    reason: string,
    now: number,
  ): Promise<void>;
  /** Sites (or `*`) where the quarantine of the digest was lifted, and when. */
  allowances(stream: string, digest: string): Promise<{ site: string; at: number }[]>;
}
