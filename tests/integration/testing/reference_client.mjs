// A reference client that tells what happens to it, one JSON object a line:
//   node reference_client.mjs MODULES LIBRARY URL CONNECTION_TYPE [EXTENSION...]
// It subscribes to /a/* and publishes there once. An event {"call": ...} makes it call
// /service/echo, an event {"end": true} makes it disconnect and exit.

import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';

const [modules, library, url, connectionType, ...extensions] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + '/'));
const load = name => import(pathToFileURL(require.resolve(name)));
const tell = fields => console.log(JSON.stringify(fields));

function tellEvent(data) {
    const bytes = data?.data instanceof Uint8Array || data?.data instanceof ArrayBuffer;
    tell({event: bytes ? {bytes: [...new Uint8Array(data.data)]} : data});
}

async function runCometD() {
    require('cometd-nodejs-client').adapt();
    const {CometD} = await load('cometd');
    const client = new CometD();
    for (const name of ['websocket', 'long-polling', 'callback-polling']) {
        if (name !== connectionType) {
            client.unregisterTransport(name);
        }
    }
    for (const name of extensions) {
        const extension = (await load(`cometd/${name}Extension.js`))[`${name}Extension`];
        client.registerExtension(name, new extension());
    }
    client.configure({url, logLevel: 'error', backoffIncrement: 50});
    const onEvent = message => {
        tellEvent(message.data);
        if (message.data.call) {
            client.remoteCall('/echo', message.data.call, 5000, answer =>
                tell({called: answer.successful, data: answer.data}));
        }
        if (message.data.end) {
            client.disconnect(reply => {
                tell({disconnected: reply.successful});
                process.exit(0);
            });
        }
    };
    const onPublished = reply => {
        tell({published: reply.successful});
        if (extensions.includes('Binary')) {
            client.publishBinary('/a/bytes', new Uint8Array([0, 1, 254, 255, 7]), true, {});
        }
    };
    // The reference client leaves it to its user to subscribe again in a new session.
    client.addListener('/meta/handshake', reply => {
        tell({handshaken: reply.successful, ext: reply.ext ?? {}});
        if (reply.successful) {
            client.subscribe('/a/*', onEvent, subscribed => {
                tell({subscribed: subscribed.successful});
                client.publish('/a/own', {own: true}, onPublished);
            });
        }
    });
    client.handshake();
}

async function runFaye() {
    const faye = require('faye');
    const client = new faye.Client(url, {timeout: 5, retry: 0.05});
    if (connectionType === 'long-polling') {
        client.disable('websocket');
    }
    await client.subscribe('/a/*', data => {
        tellEvent(data);
        if (data.end) {
            client.disconnect().then(() => {
                tell({disconnected: true});
                process.exit(0);
            });
        }
    });
    tell({subscribed: true});
    await client.publish('/a/own', {own: true});
    tell({published: true});
}

await {cometd: runCometD, faye: runFaye}[library]();
