/** Temporal behind mutual TLS: a front that knows whose certificates are good no more. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { freePort } from '../../infra/dev/ports.js';

export const CLIENTS = ['first', 'second'] as const;
export type Client = (typeof CLIENTS)[number];

export class TlsGate {
  /** Whose certificate was shown, in order. */
  readonly seen: string[] = [];
  private readonly refused = new Set<string>();
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  private constructor(
    private readonly target: string,
    private readonly directory: string,
  ) {
    this.makeCertificates();
    const tls = {
      key: readFileSync(this.file('server.key')),
      cert: readFileSync(this.file('server.pem')),
      ca: readFileSync(this.file('ca.pem')),
    };
    const mutual = { requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
    this.server = createServer({ ...tls, ...mutual }, (client) => this.admit(client));
  }

  static async start(target: string, directory: string): Promise<TlsGate> {
    const gate = new TlsGate(target, directory);
    const port = await freePort();
    await new Promise<void>((resolve) => gate.server.listen(port, '127.0.0.1', resolve));
    return gate;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** `ca.pem`, and of each client `<name>.pem` and `<name>.key`. */
  file(name: string): string {
    return join(this.directory, name);
  }

  refuse(client: Client): void {
    this.refused.add(client);
  }

  accept(client: Client): void {
    this.refused.delete(client);
  }

  /** Ends what is connected: a certificate is looked at only when somebody connects. */
  hangUp(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.hangUp();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private admit(client: TLSSocket): void {
    const name = String(client.getPeerCertificate().subject.CN);
    this.seen.push(name);
    client.on('error', () => client.destroy());
    if (this.refused.has(name)) return void client.destroy();
    const [host = '', port] = this.target.split(':');
    const upstream = connect(Number(port), host);
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  }

  private makeCertificates(): void {
    const authority = ['-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=ca'];
    this.openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...authority);
    for (const [index, name] of ['server', ...CLIENTS].entries()) {
      const request = ['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`];
      this.openssl('req', '-newkey', 'rsa:2048', '-nodes', ...request);
      writeFileSync(this.file(`${name}.ext`), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', String(index + 2), '-days', '2'];
      this.openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-extfile', `${name}.ext`, '-out', `${name}.pem`);
    }
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe', cwd: this.directory });
  }
}
