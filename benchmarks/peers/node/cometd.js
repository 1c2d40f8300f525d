// The CometD JavaScript client as a peer.

import { adapt } from "cometd-nodejs-client";
import { CometD } from "cometd";
import { inFlight, Receiver, task, tell, warmThenMeasured } from "./task.js";

adapt();
const cometd = new CometD();
cometd.configure({ url: task.url, logLevel: "error" });
for (const transport of cometd.getTransportTypes()) {
    if (transport !== task.transport) {
        cometd.unregisterTransport(transport);
    }
}

const published = (channel, data) =>
    new Promise((resolve) => cometd.publish(channel, data, resolve));
const receiver = new Receiver((channel, data) => cometd.publish(channel, data));

const KINDS = {
    receive: () => warmThenMeasured(receiver.pushed),
    publish: () => warmThenMeasured((messages) => inFlight(messages, published)),
    latency: () => receiver.observed(task.messages),
};

cometd.handshake(async (reply) => {
    if (!reply.successful) {
        throw new Error(`handshake refused: ${JSON.stringify(reply)}`);
    }
    const take = (message) => receiver.take(message.data);
    await new Promise((resolve) => cometd.subscribe("/bench/0/x", take, resolve));
    tell(await KINDS[task.kind]());
});
