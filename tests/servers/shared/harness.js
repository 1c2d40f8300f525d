'use strict';

// What the two Node.js servers have in common: arguments, counters, denials, the control channel.

const http = require('node:http');

const COUNTERS = [
    'payloads', 'messages', 'handshakes', 'connects', 'disconnects', 'publishes',
    'subscribes', 'unsubscribes', 'subscribed_channels', 'subscribe_payloads',
    'largest_subscribe_payload',
];

const NAMES = {
    '/meta/handshake': 'handshakes',
    '/meta/connect': 'connects',
    '/meta/disconnect': 'disconnects',
    '/meta/subscribe': 'subscribes',
    '/meta/unsubscribe': 'unsubscribes',
};

/** Reads `name=value` arguments; what looks like a number or a boolean becomes one. */
function readOptions(defaults) {
    const options = {port: 0, control: 0, ...defaults};
    process.argv.slice(2).forEach(argument => {
        const cut = argument.indexOf('=');
        if (cut < 0) {
            throw new Error(`not name=value: ${argument}`);
        }
        const value = argument.slice(cut + 1);
        const plain = /^(-?\d+(\.\d+)?|true|false)$/.test(value);
        options[argument.slice(0, cut)] = plain ? JSON.parse(value) : value;
    });
    const {port, control, ...others} = options;
    return {port, control, options: others};
}

/** What came over the wire, one call of `count` per payload. */
class Counters {
    constructor() {
        this.reset();
    }

    reset() {
        this.counts = Object.fromEntries(COUNTERS.map(name => [name, 0]));
        return true;
    }

    count(payload) {
        const messages = [].concat(payload);
        const counts = this.counts;
        let subscribes = 0;
        messages.forEach(message => {
            ++counts[NAMES[message.channel] || 'publishes'];
            if (message.channel === '/meta/subscribe') {
                ++subscribes;
                counts.subscribed_channels += [].concat(message.subscription).length;
            }
        });
        ++counts.payloads;
        counts.messages += messages.length;
        if (subscribes > 0) {
            ++counts.subscribe_payloads;
            counts.largest_subscribe_payload =
                Math.max(counts.largest_subscribe_payload, subscribes);
        }
    }
}

/** Which operations are refused, on which channels ('*': on all). */
class Denials {
    constructor() {
        this.channels = {handshake: new Set(), subscribe: new Set(), publish: new Set()};
    }

    set(operation, channel, denied) {
        const channels = this.channels[operation];
        if (!channels) {
            throw new Error(`cannot deny ${operation}`);
        }
        if (denied) {
            channels.add(channel);
        } else {
            channels.delete(channel);
        }
        return true;
    }

    denied(operation, channel) {
        const channels = this.channels[operation];
        return channels.has('*') || channels.has(channel);
    }
}

/** `{"n": n}`, padded to `size` bytes of JSON when that is more. */
function numbered(n, size) {
    const missing = size - JSON.stringify({n, padding: ''}).length;
    return missing > 0 ? {n, padding: 'x'.repeat(missing)} : {n};
}

/** The data of a publish command: one value, or `count` numbered ones. */
function* published({data, count, first = 0, size = 0}) {
    if (count === undefined) {
        yield data;
    } else {
        for (let n = first; n < first + count; ++n) {
            yield numbered(n, size);
        }
    }
}

/** The open TCP connections of an HTTP server, WebSockets too. */
function trackSockets(server) {
    const sockets = new Set();
    server.on('connection', socket => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
    });
    return {
        drop() {
            const dropped = sockets.size;
            sockets.forEach(socket => socket.destroy());
            return dropped;
        },
    };
}

function readBody(request) {
    return new Promise((resolve, reject) => {
        let body = '';
        request.setEncoding('utf8');
        request.on('data', chunk => {
            body += chunk;
        });
        request.on('end', () => resolve(body));
        request.on('error', reject);
    });
}

async function answer(commands, request, response) {
    let status = 200;
    let reply;
    try {
        const {command, ...values} = JSON.parse(await readBody(request));
        if (!Object.hasOwn(commands, command)) {
            throw new Error(`unknown command ${command}`);
        }
        reply = {result: await commands[command](values)};
    } catch (failure) {
        status = 400;
        reply = {error: String(failure)};
    }
    response.writeHead(status, {'Content-Type': 'application/json'});
    response.end(JSON.stringify(reply));
}

function listen(server, port) {
    return new Promise((resolve, reject) => {
        server.on('error', reject);
        server.listen(port, '127.0.0.1', () => resolve(server.address().port));
    });
}

/**
 * Binds the server and its control channel, says so on standard output and lives until standard
 * input ends. `commands` maps a name to a function of the arguments object.
 */
async function run(server, ports, commands, counters, denials) {
    const sockets = trackSockets(server);
    const all = {
        ping: () => true,
        counters: () => counters.counts,
        reset_counters: () => counters.reset(),
        deny: ({operation, channel = '*'}) => denials.set(operation, channel, true),
        allow: ({operation, channel = '*'}) => denials.set(operation, channel, false),
        drop: () => sockets.drop(),
        ...commands,
    };
    const control = http.createServer((request, response) => answer(all, request, response));
    const bound = {
        port: await listen(server, ports.port),
        control: await listen(control, ports.control),
    };
    process.stdout.write(JSON.stringify(bound) + '\n');
    process.stdin.on('end', () => process.exit(0));
    process.stdin.resume();
}

module.exports = {Counters, Denials, published, readOptions, run};
