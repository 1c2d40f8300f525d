// The npm client of CometD, sending all binary messages of one channel back on another one.
// Arguments: the server's address, the connection type, the two channels. It says when it is
// ready, and ends with its standard input.

import {BinaryExtension, CometD} from 'cometd';
import {adapt} from 'cometd-nodejs-client';

const [url, connectionType, there, back] = process.argv.slice(-4);
adapt();
const client = new CometD();
for (const type of ['websocket', 'long-polling', 'callback-polling']) {
    if (type !== connectionType) {
        client.unregisterTransport(type);
    }
}
client.registerExtension('binary', new BinaryExtension());
client.configure({url, maxSendBayeuxMessageSize: 16 * 1024 * 1024});
client.handshake(handshake => {
    if (!handshake.successful) {
        throw new Error(JSON.stringify(handshake));
    }
    client.subscribe(
        there,
        ({data: {data, last, meta}}) => client.publishBinary(back, data, last, meta),
        () => process.stdout.write('ready\n'),
    );
});
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
