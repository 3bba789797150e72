/** Certificates for tests, made by the openssl program: an authority, and servers that it vouches for. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Pair {
  key: string;
  cert: string;
}

export class Authority {
  readonly caPath: string;

  constructor(private readonly directory: string) {
    this.caPath = join(directory, 'ca.pem');
    this.openssl('req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=test-ca');
  }

  /** `days` may be negative: it has ended then. */
  issue(name: string, days: number): Pair {
    writeFileSync(join(this.directory, `${name}.ext`), `subjectAltName=DNS:${name},IP:127.0.0.1\n`);
    this.openssl(`req -newkey rsa:2048 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`);
    const begin = stamp(Date.now() - 60 * 86_400_000);
    const end = stamp(Date.now() + days * 86_400_000 + 60_000);
    for (const [file, text] of [
      ['index.txt', ''],
      ['serial', '01\n'],
    ] as const)
      writeFileSync(join(this.directory, file), text);
    writeFileSync(join(this.directory, 'ca.cnf'), CONFIG);
    this.openssl(
      `ca -batch -config ca.cnf -in ${name}.csr -out ${name}.pem -notext -extfile ${name}.ext -startdate ${begin} -enddate ${end}`,
    );
    const read = (file: string) => readFileSync(join(this.directory, file), 'utf8');
    return { key: read(`${name}.key`), cert: read(`${name}.pem`) };
  }

  private openssl(words: string): void {
    execFileSync('openssl', words.split(' '), { cwd: this.directory, stdio: 'pipe' });
  }
}

function stamp(at: number): string {
  return `${new Date(at).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}

const CONFIG = `[ca]
default_ca = own
[own]
dir = .
new_certs_dir = .
database = index.txt
serial = serial
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
[any]
commonName = supplied
`;
