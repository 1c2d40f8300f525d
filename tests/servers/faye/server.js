'use strict';

// Faye, over WebSocket and long-polling. Arguments are name=value: port, control, and the options
// of NodeAdapter (mount, timeout and ping in seconds).

const http = require('node:http');
const faye = require('faye');
const Memory = require('faye/src/engines/memory');
const {Counters, Denials, published, readOptions, run} = require('./harness.js');

const {port, control, options} = readOptions({mount: '/cometd'});
const counters = new Counters();
const denials = new Denials();

// The engine is made here, as a custom one would be, to have its destroyClient().
let engine;
const type = {
    create(server, settings) {
        engine = Memory.create(server, settings);
        return engine;
    },
};
const bayeux = new faye.NodeAdapter({...options, engine: {type}});

const sessions = new Set();
const subscribers = new Map();
bayeux.on('disconnect', clientId => sessions.delete(clientId));
bayeux.on('subscribe', (clientId, channel) => {
    if (!subscribers.has(channel)) {
        subscribers.set(channel, new Set());
    }
    subscribers.get(channel).add(clientId);
});
bayeux.on('unsubscribe', (clientId, channel) => subscribers.get(channel)?.delete(clientId));

// Requests of the server's own client have no HTTP request.
bayeux.addExtension({
    incoming(message, request, callback) {
        if (request && !message.error) {
            refuse(message);
        }
        callback(message);
    },
    outgoing(message, request, callback) {
        if (request && message.channel === '/meta/handshake' && message.successful) {
            sessions.add(message.clientId);
        }
        callback(message);
    },
});

function refuse(message) {
    const {channel} = message;
    if (channel === '/meta/handshake' && denials.denied('handshake', '*')) {
        message.error = '403::Handshake denied';
    } else if (channel === '/meta/subscribe') {
        const denied = [].concat(message.subscription)
            .find(name => denials.denied('subscribe', name));
        if (denied) {
            message.error = `403:${denied}:Subscription denied`;
        }
    } else if (!channel.startsWith('/meta/') && denials.denied('publish', channel)) {
        message.error = `403:${channel}:Publication denied`;
    }
}

// Faye tells extensions single messages; where payloads arrive is its server's one entry.
const {process: processPayload} = bayeux._server;
bayeux._server.process = function(payload, request, ...others) {
    if (request) {
        counters.count(payload);
    }
    return processPayload.call(this, payload, request, ...others);
};

const commands = {
    async publish({channel, ...values}) {
        const client = bayeux.getClient();
        // Before it is connected its first publish would come after those that follow.
        await new Promise(resolve => client.connect(resolve));
        const publications = Array.from(published(values), data => client.publish(channel, data));
        await Promise.all(publications);
        return publications.length;
    },
    forget({client_id: clientId}) {
        if (!sessions.has(clientId)) {
            throw new Error(`no session ${clientId}`);
        }
        return new Promise(resolve => engine.destroyClient(clientId, () => resolve(true)));
    },
    sessions: () => [...sessions],
    subscribers: ({channel}) => [...(subscribers.get(channel) ?? [])],
};

const server = http.createServer((request, response) => {
    response.writeHead(404);
    response.end();
});
bayeux.attach(server);
run(server, {port, control}, commands, counters, denials);
