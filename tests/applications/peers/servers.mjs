// The promises' application on Node's http and http2, in the clear, over TLS and with clients' certificates.
// Run by `lab.py`. Says its ports in one line, and ends with its standard input. What each path answers: `promises.py`.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(`${process.env.APPLICATIONS_NODE}/`)('ws');
const [chain, key, clients] = process.argv.slice(2);
const material = { cert: fs.readFileSync(chain), key: fs.readFileSync(key) };
const asked = { ...material, ca: fs.readFileSync(clients), requestCert: true, rejectUnauthorized: true };
const waiting = new Map();
function released(name) {
  if (!waiting.has(name)) {
    const it = {};
    it.come = new Promise((done) => { it.done = done; });
    waiting.set(name, it);
  }
  return waiting.get(name);
}

async function answer(request, response) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  const [path, query] = request.url.split('?');
  if (path === '/echo') {
    response.writeHead(200, { 'content-length': body.length });
    response.end(body);
  } else if (path === '/nothing') {
    response.writeHead(204);
    response.end();
  } else if (path === '/same') {
    response.writeHead(304, { etag: '"it"' });
    response.end();
  } else if (path === '/pieces') {
    response.writeHead(200, { trailer: 'x-sum' });
    for (const letter of 'abcd') response.write(letter.repeat(1000));
    if (response.stream) response.setTrailer('x-sum', 'whole');
    else response.addTrailers({ 'x-sum': 'whole' });
    response.end();
  } else if (path === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: one\n\n');
    await released(query).come;
    response.end('data: two\n\n');
  } else if (path === '/release') {
    released(query).done();
    response.end('ok');
  } else {
    const fields = [];
    for (let at = 0; at < request.rawHeaders.length; at += 2) fields.push(request.rawHeaders.slice(at, at + 2));
    const sha256 = crypto.createHash('sha256').update(body).digest('hex');
    const said = { method: request.method, target: request.url, protocol: request.httpVersion.replace('2.0', '2'), length: body.length };
    const text = JSON.stringify({ ...said, sha256, fields });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(request.method === 'HEAD' ? undefined : text);
  }
}

function talk(server) {
  const sockets = new WebSocketServer({ server, maxPayload: 1 << 24 });
  sockets.on('connection', (it) => it.on('message', (data, isBinary) => {
    const text = isBinary ? '' : data.toString();
    if (text.startsWith('close ')) {
      const [, code, ...reason] = text.split(' ');
      it.close(Number(code), reason.join(' '));
    } else it.send(data, { binary: isBinary });
  }));
}

const servers = {
  node: { plain: http.createServer(answer), tls: https.createServer(material, answer), mutual: https.createServer(asked, answer) },
  'node-h2': {
    plain: http2.createServer(answer),
    tls: http2.createSecureServer({ ...material, allowHTTP1: true }, answer),
    mutual: http2.createSecureServer({ ...asked, allowHTTP1: true }, answer),
  },
};
Object.values(servers.node).forEach(talk);
const ports = {};
for (const [name, ways] of Object.entries(servers)) {
  ports[name] = {};
  for (const [way, server] of Object.entries(ways)) {
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    ports[name][way] = server.address().port;
  }
}
process.stdout.write(JSON.stringify({ ports }) + '\n');
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
