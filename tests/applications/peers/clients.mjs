// Node's fetch, http and http2, and the client of `ws`: a job a line, its result a line. Run by `lab.py`.
// In this process names under `.test` are this machine; NODE_EXTRA_CA_CERTS names the authority.
import crypto from 'node:crypto';
import dns from 'node:dns';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import readline from 'node:readline';
import { createRequire } from 'node:module';

const WebSocket = createRequire(`${process.env.APPLICATIONS_NODE}/`)('ws');
const ca = fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS);
const system = dns.lookup;
dns.lookup = (name, options, done) => (typeof options === 'function' ? system : (n, o, d) => system(n.endsWith('.test') ? '127.0.0.1' : n, o, d))(name, options, done);
const agent = new https.Agent({ keepAlive: true, ca, maxSockets: 4, timeout: 2000 }); // of those that rest: see KEPT_S in clients.py
const sessions = new Map();
const body = (size) => (size === undefined || size === null ? undefined : Buffer.alloc(size, '0123456789abcdef'));
const all = async (stream) => { const out = []; for await (const piece of stream) out.push(Buffer.from(piece)); return Buffer.concat(out); };

function result(status, protocol, fields, content, trailers) {
  const sha256 = crypto.createHash('sha256').update(content).digest('hex');
  return { status, protocol, fields, length: content.length, sha256, body: content.length <= 8000 ? content.toString('latin1') : '', trailers };
}

async function byFetch(job) {
  const content = body(job.size);
  const streamed = content && job.chunked ? { body: new Blob([content]).stream(), duplex: 'half' } : { body: content };
  const it = await fetch(job.url, { method: job.method, headers: job.fields, ...streamed });
  return result(it.status, '1.1', Object.fromEntries(it.headers), Buffer.from(await it.arrayBuffer()));
}

function opened(url, method, fields) {
  return https.request(url, { method, headers: fields, agent });
}

function byHttp(job) {
  return new Promise((done, fail) => {
    const content = body(job.size);
    const fields = { ...job.fields, ...(content && !job.chunked ? { 'content-length': content.length } : {}), ...(job.expect ? { expect: '100-continue' } : {}) };
    const request = opened(job.url, job.method, { te: 'trailers', connection: 'keep-alive, te', ...fields });
    let continued = false;
    request.on('error', fail);
    request.on('response', (it) => all(it).then((found) => done({ ...result(it.statusCode, it.httpVersion, it.headers, found, it.trailers), continued }), fail));
    if (job.expect) request.on('continue', () => { continued = true; request.end(content); });
    else if (content && job.chunked) { for (let at = 0; at < content.length; at += 50000) request.write(content.subarray(at, at + 50000)); request.end(); }
    else request.end(content);
    if (job.expect) request.flushHeaders();
  });
}

async function eventsByHttp(job) {
  const it = await new Promise((done, fail) => opened(job.url, 'GET', {}).on('response', done).on('error', fail).end());
  return read(it, () => byHttp({ url: job.release, method: 'GET' }));
}

async function eventsByFetch(job) {
  const it = await fetch(job.url);
  return read(it.body, () => byFetch({ url: job.release, method: 'GET' }));
}

async function read(stream, release) {
  let first, rest = '';
  for await (const piece of stream) {
    if (first === undefined) { first = Buffer.from(piece).toString(); await release(); } else rest += Buffer.from(piece).toString();
  }
  return { first, rest };
}

function session(url) {
  const { origin } = new URL(url);
  const kept = sessions.get(origin);
  if (kept && !kept.closed && !kept.destroyed) return kept;
  // What a test sends at once may be more than the 10 MB that a session keeps by itself.
  const it = http2.connect(origin, { ca, maxSessionMemory: 512, lookup: (name, options, done) => dns.lookup(name, options, done) });
  it.on('error', () => {});
  it.setTimeout(2000, () => it.close()); // of silence: what runs may end, what comes next gets a session of its own
  sessions.set(origin, it);
  return it;
}

function stream2(url, method, fields, ends) {
  const { pathname, search } = new URL(url);
  const path = url.slice(new URL(url).origin.length) || pathname + search;
  return session(url).request({ ':method': method, ':path': path, te: 'trailers', ...fields }, { endStream: ends });
}

function byHttp2(job) {
  return new Promise((done, fail) => {
    const content = body(job.size);
    const sized = content && !job.chunked ? { 'content-length': content.length } : {};
    const it = stream2(job.url, job.method, { ...sized, ...job.fields }, content === undefined);
    let head, trailers = {};
    it.on('error', fail);
    it.on('response', (fields) => { head = fields; });
    it.on('trailers', (fields) => { trailers = fields; });
    all(it).then((found) => done(result(head[':status'], '2', head, found, trailers)), fail);
    if (content !== undefined) it.end(content);
  });
}

function eventsByHttp2(job) {
  return read(stream2(job.url, 'GET', {}, true), () => byHttp2({ url: job.release, method: 'GET' }));
}

function talk(job) {
  return new Promise((done, fail) => {
    const it = new WebSocket(job.url, { ca, lookup: (name, options, found) => dns.lookup(name, options, found) });
    const steps = [...job.sizes.map((size) => body(size)), job.say];
    const echoed = [];
    let said;
    const next = () => it.send(steps.length ? steps.shift() : `close ${job.close.join(' ')}`);
    it.on('error', fail);
    it.on('open', next);
    it.on('message', (data, isBinary) => { if (isBinary) echoed.push(data.length); else said = data.toString(); next(); });
    it.on('close', (code, reason) => done({ echoed, said, closed: [code, reason.toString()] }));
  });
}

const DO = {
  'node-fetch': { ask: byFetch, events: eventsByFetch },
  'node-http': { ask: byHttp, events: eventsByHttp },
  'node-h2': { ask: byHttp2, events: eventsByHttp2 },
  ws: { talk },
};

process.stdout.write('{"ready":true}\n');
for await (const line of readline.createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  let found;
  try {
    found = await DO[job.client][job.do](job);
  } catch (e) {
    found = { failed: `${e.name}: ${e.message} ${e.cause ?? ''}` };
  }
  process.stdout.write(JSON.stringify(found) + '\n');
}
process.exit(0);
