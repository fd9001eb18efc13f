// A real OpenID provider (oidc-provider) on the loopback, which believes whoever says who they are.
//
// Prints its issuer. Each line on its input is a JSON object {"back": URI} and makes the provider anew, with keys of its
// own and one client that may go back to that URI; prints "ready" when it answers. Ends with its input.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [client_id, client_secret] = process.argv.slice(2);
const server = createServer();
let answer = (_, response) => response.writeHead(503).end();
server.on('request', (request, response) => answer(request, response));
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://localhost:${server.address().port}`;
  console.log(issuer);
  for await (const line of createInterface({ input: process.stdin })) {
    const { back } = JSON.parse(line);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' };
    const client = { client_id, client_secret, redirect_uris: [back] };
    const provider = new Provider(issuer, {
      clients: [client], cookies: { keys: [randomUUID()] }, jwks: { keys: [key] },
    });
    answer = provider.callback();
    console.log('ready');
  }
  process.exit(0);
});
