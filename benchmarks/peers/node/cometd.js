// The CometD JavaScript client as a peer.

import { adapt } from "cometd-nodejs-client";
import { CometD } from "cometd";
import { delay, inFlight, latencies, order, task, tell, warmThenMeasured } from "./task.js";

adapt();
const cometd = new CometD();
cometd.configure({ url: task.url, logLevel: "error" });
for (const transport of cometd.getTransportTypes()) {
    if (transport !== task.transport) {
        cometd.unregisterTransport(transport);
    }
}

let take = () => {};
const subscribed = (channel) =>
    new Promise((resolve) => cometd.subscribe(channel, (message) => take(message), resolve));
const published = (channel, data) =>
    new Promise((resolve) => cometd.publish(channel, data, resolve));

function pushed(messages) {
    return new Promise((resolve) => {
        let left = messages;
        take = () => {
            if (--left === 0) {
                resolve();
            }
        };
        cometd.publish("/push", order(messages));
    });
}

function observed(messages) {
    return new Promise((resolve) => {
        const delays = [];
        take = (message) => {
            if (delays.push(delay(message)) === messages) {
                resolve(latencies(delays));
            }
        };
        cometd.publish("/push", order(messages));
    });
}

const KINDS = {
    receive: () => warmThenMeasured(pushed),
    publish: () => warmThenMeasured((messages) => inFlight(messages, published)),
    latency: () => observed(task.messages),
};

cometd.handshake(async (reply) => {
    if (!reply.successful) {
        throw new Error(`handshake refused: ${JSON.stringify(reply)}`);
    }
    await subscribed("/bench/0/x");
    tell(await KINDS[task.kind]());
});
