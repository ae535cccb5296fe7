// verdaccio, the npm registry, in the clear, over TLS and with clients' certificates. Run by `test_npm.py`: its folder first.
// Says its ports in one line, and ends with its standard input.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';

const { runServer } = createRequire(`${process.env.APPLICATIONS_NODE}/`)('verdaccio');
const [folder, chain, key, clients] = process.argv.slice(2);
fs.writeFileSync(`${folder}/config.yaml`, `
storage: ${folder}/storage
auth: { htpasswd: { file: ${folder}/htpasswd, algorithm: bcrypt, rounds: 4 } }
packages: { '**': { access: $all, publish: $authenticated } }
web: { enable: false }
log: { type: file, path: ${folder}/verdaccio.log, level: info }
`);
const [handler] = (await runServer(`${folder}/config.yaml`)).listeners('request');
const material = { cert: fs.readFileSync(chain), key: fs.readFileSync(key) };
const asked = { ...material, ca: fs.readFileSync(clients), requestCert: true, rejectUnauthorized: true };
const ways = {
  plain: http.createServer(handler),
  tls: https.createServer(material, handler),
  mutual: https.createServer(asked, handler),
};
const ports = {};
for (const [way, server] of Object.entries(ways)) {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  ports[way] = server.address().port;
}
process.stdout.write(JSON.stringify({ ports }) + '\n');
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
