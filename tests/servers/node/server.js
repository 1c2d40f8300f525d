'use strict';

// cometd-nodejs-server, long-polling only. Arguments are name=value: port, control, and the
// options of createCometDServer (timeout, maxInterval, sweepPeriod and so on, in milliseconds).

const http = require('node:http');
const {createCometDServer} = require('cometd-nodejs-server');
const {AcknowledgedMessagesExtension} = require('cometd-nodejs-server/ack-extension');
const {Counters, Denials, published, readOptions, run} = require('./harness.js');

const {port, control, options} = readOptions({});
const counters = new Counters();
const denials = new Denials();
const cometd = createCometDServer(options);

const sessions = new Map();
// The arguments of the last "greet": what every new session is delivered to begin with.
let greeting = {count: 0};
cometd.addListener('sessionAdded', session => {
    sessions.set(session.id, session);
    for (const data of published({count: greeting.count})) {
        session.deliver(null, greeting.channel, data);
    }
});
cometd.addListener('sessionRemoved', session => sessions.delete(session.id));
cometd.addExtension(new AcknowledgedMessagesExtension());
cometd.policy = {
    canHandshake: (session, message, callback) =>
        callback(undefined, !denials.denied('handshake', '*')),
    canSubscribe: (session, message, channel, callback) =>
        callback(undefined, !denials.denied('subscribe', channel.name)),
    canPublish: (session, message, channel, callback) =>
        callback(undefined, !denials.denied('publish', channel.name)),
};

// The public API delivers no id, so a remote call ends with the bare reply of the publish.
cometd.createServerChannel('/service/echo').addListener(
    'message',
    (session, channel, message, callback) => {
        session.deliver(null, channel.name, message.data);
        callback();
    },
);

function session(id) {
    const found = sessions.get(id);
    if (!found) {
        throw new Error(`no session ${id}`);
    }
    return found;
}

/** Counts the payload beside the server, which reads it by itself. */
function tap(request) {
    let body = '';
    // The server concatenates chunks: as bytes, a character cut in two would be lost.
    request.setEncoding('utf8');
    request.on('data', chunk => {
        body += chunk;
    });
    request.on('end', () => {
        let payload;
        try {
            payload = JSON.parse(body);
        } catch {
            return; // The server answers this with 400.
        }
        counters.count(payload);
    });
}

const commands = {
    publish({channel, ...values}) {
        const target = cometd.createServerChannel(channel);
        let total = 0;
        for (const data of published(values)) {
            target.publish(null, data);
            ++total;
        }
        return total;
    },
    deliver({client_id: id, channel, data}) {
        session(id).deliver(null, channel, data);
        return true;
    },
    greet({channel, count}) {
        greeting = {channel, count};
        return true;
    },
    disconnect({client_id: id}) {
        return Boolean(session(id).disconnect());
    },
    // What the sweeper does after maxInterval, but a held connect is answered at once. The server
    // has no public way to do it.
    forget({client_id: id}) {
        const forgotten = session(id);
        cometd._removeServerSession(forgotten, true);
        forgotten._flush();
        return true;
    },
    sessions: () => [...sessions.keys()],
    subscribers({channel}) {
        const target = cometd.getServerChannel(channel);
        return target ? target.subscribers.map(subscriber => subscriber.id) : [];
    },
};

const server = http.createServer((request, response) => {
    tap(request);
    cometd.handle(request, response);
});
run(server, {port, control}, commands, counters, denials);
