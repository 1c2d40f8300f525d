// What a peer is told to do, and how it measures itself; see benchmarks/peers/task.py.

export const task = JSON.parse(process.argv[2]);

const order = (messages) => ({
    messages,
    per_frame: task.per_frame,
    channels: task.channels,
    rate: task.rate,
    coalesced: task.coalesced,
});

const cpuSeconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
};

/** Measures what `work` takes, for so many messages. */
export async function measured(messages, work) {
    const cpu = cpuSeconds();
    const wall = performance.now();
    await work(messages);
    return { messages, cpu: cpuSeconds() - cpu, wall: (performance.now() - wall) / 1e3 };
}

/** Does some work twice: to warm up, and to be measured. */
export async function warmThenMeasured(work) {
    await work(task.warm_up);
    return measured(task.messages, work);
}

/** Microseconds between a send and now, by the clock that all processes share. */
const delay = (data) => Number(process.hrtime.bigint() - BigInt(data.sent)) / 1e3;

/** Has messages sent, and takes their data. */
export class Receiver {
    take = () => {};

    constructor(publish) {
        this.publish = publish;
    }

    /** Has so many messages sent, and counts them. */
    pushed = (messages) =>
        new Promise((resolve) => {
            let left = messages;
            this.take = () => {
                if (--left === 0) {
                    resolve();
                }
            };
            this.publish("/push", order(messages));
        });

    /** Has so many messages sent, and tells how long they took. */
    observed = (messages) =>
        new Promise((resolve) => {
            const delays = [];
            this.take = (data) => {
                if (delays.push(delay(data)) === messages) {
                    resolve(latencies(delays));
                }
            };
            this.publish("/push", order(messages));
        });
}

function latencies(delays) {
    delays.sort((a, b) => a - b);
    const at = (part) => delays[Math.round((delays.length - 1) * part)];
    return { p50: at(0.5), p99: at(0.99), "p99.9": at(0.999) };
}

/** Publishes so many messages, several in flight at a time. */
export async function inFlight(messages, publish) {
    const each = Math.floor(messages / task.in_flight);
    const oneByOne = async () => {
        for (let n = 0; n < each; n++) {
            await publish("/bench/0/x", { symbol: "ACME", price: 100.5, volume: 7, side: "buy" });
        }
    };
    await Promise.all(Array.from({ length: task.in_flight }, oneByOne));
}

export function tell(result) {
    console.log(JSON.stringify(result));
    process.exit(0);
}
