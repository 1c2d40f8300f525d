// Faye's client as a peer.

import faye from "faye";
import { inFlight, Receiver, task, tell, warmThenMeasured } from "./task.js";

const client = new faye.Client(task.url);
// It shakes hands over long-polling in any case.
for (const transport of ["websocket", "eventsource"]) {
    if (transport !== task.transport) {
        client.disable(transport);
    }
}

const published = (channel, data) => client.publish(channel, data);
const receiver = new Receiver(published);

const KINDS = {
    receive: () => warmThenMeasured(receiver.pushed),
    publish: () => warmThenMeasured((messages) => inFlight(messages, published)),
    latency: () => receiver.observed(task.messages),
};

await client.subscribe("/bench/0/x", (data) => receiver.take(data));
tell(await KINDS[task.kind]());
