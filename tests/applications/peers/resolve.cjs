// Loaded first into npm: names under .test are this machine.
const dns = require('node:dns');
const system = dns.lookup;
dns.lookup = (name, ...rest) => system(name.endsWith('.test') ? '127.0.0.1' : name, ...rest);
