// Faye's client as a peer.

import faye from "faye";
import { delay, inFlight, latencies, order, task, tell, warmThenMeasured } from "./task.js";

const client = new faye.Client(task.url);
// It shakes hands over long-polling in any case.
for (const transport of ["websocket", "eventsource"]) {
    if (transport !== task.transport) {
        client.disable(transport);
    }
}

let take = () => {};

function pushed(messages) {
    return new Promise((resolve) => {
        let left = messages;
        take = () => {
            if (--left === 0) {
                resolve();
            }
        };
        client.publish("/push", order(messages));
    });
}

function observed(messages) {
    return new Promise((resolve) => {
        const delays = [];
        take = (data) => {
            if (delays.push(delay({ data })) === messages) {
                resolve(latencies(delays));
            }
        };
        client.publish("/push", order(messages));
    });
}

const KINDS = {
    receive: () => warmThenMeasured(pushed),
    publish: () =>
        warmThenMeasured((messages) =>
            inFlight(messages, (channel, data) => client.publish(channel, data)),
        ),
    latency: () => observed(task.messages),
};

await client.subscribe("/bench/0/x", (data) => take(data));
tell(await KINDS[task.kind]());
