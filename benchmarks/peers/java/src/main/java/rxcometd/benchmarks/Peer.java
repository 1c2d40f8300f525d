package rxcometd.benchmarks;

import com.sun.management.OperatingSystemMXBean;
import jakarta.websocket.ContainerProvider;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.util.ajax.JSON;

/** The CometD Java client as a peer; see benchmarks/peers/task.py. */
public final class Peer {
    private static final Map<String, Object> DATA =
            Map.of("symbol", "ACME", "price", 100.5, "volume", 7, "side", "buy");
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private final Map<String, Object> task;
    private final BayeuxClient client;
    private final AtomicReference<CountDownLatch> left = new AtomicReference<>(new CountDownLatch(0));

    private Peer(Map<String, Object> task) throws Exception {
        this.task = task;
        this.client = new BayeuxClient((String) task.get("url"), transport());
    }

    public static void main(String[] arguments) throws Exception {
        @SuppressWarnings("unchecked")
        Map<String, Object> task = (Map<String, Object>) new JSON().fromJSON(arguments[0]);
        System.out.println(new Peer(task).perform((String) task.get("kind")));
        System.exit(0);
    }

    private String perform(String kind) throws Exception {
        client.handshake();
        if (!client.waitFor(10_000, BayeuxClient.State.CONNECTED)) {
            throw new IllegalStateException("not connected");
        }
        return switch (kind) {
            case "receive" -> receive();
            case "publish" -> measured(this::publish);
            case "latency" -> latency();
            default -> throw new IllegalArgumentException("the Java peer cannot do " + kind);
        };
    }

    private ClientTransport transport() throws Exception {
        if ("websocket".equals(task.get("transport"))) {
            return new WebSocketTransport(null, null, ContainerProvider.getWebSocketContainer());
        }
        HttpClient http = new HttpClient();
        http.start();
        return new JettyHttpClientTransport(null, http);
    }

    private String receive() throws Exception {
        subscribe((channel, message) -> left.get().countDown());
        return measured(this::push);
    }

    /** What takes so many messages, until all of it is done. */
    private interface Work {
        void take(long messages) throws Exception;
    }

    /** Warms up, then tells what the work took. */
    private String measured(Work work) throws Exception {
        work.take(number("warm_up"));
        long cpu = SYSTEM.getProcessCpuTime();
        long wall = System.nanoTime();
        work.take(number("messages"));
        return String.format("{\"messages\": %d, \"cpu\": %s, \"wall\": %s}",
                number("messages"),
                (SYSTEM.getProcessCpuTime() - cpu) / 1e9,
                (System.nanoTime() - wall) / 1e9);
    }

    private void subscribe(ClientSessionChannel.MessageListener listener) throws Exception {
        CountDownLatch subscribed = new CountDownLatch(1);
        client.getChannel("/bench/0/x").subscribe(listener, reply -> subscribed.countDown());
        await(subscribed);
    }

    private void push(long messages) throws Exception {
        left.set(new CountDownLatch((int) messages));
        client.getChannel("/push").publish(Map.of(
                "messages", messages,
                "per_frame", number("per_frame"),
                "rate", number("rate"),
                "coalesced", task.get("coalesced")));
        await(left.get());
    }

    /** Publishes whose replies are waited for, so many at a time. */
    private void publish(long messages) throws Exception {
        long each = messages / number("in_flight");
        left.set(new CountDownLatch((int) (each * number("in_flight"))));
        for (long chain = 0; chain < number("in_flight"); chain++) {
            publishOneByOne(each);
        }
        await(left.get());
    }

    private void publishOneByOne(long messages) {
        if (messages > 0) {
            client.getChannel("/bench/0/x").publish(DATA, reply -> {
                left.get().countDown();
                publishOneByOne(messages - 1);
            });
        }
    }

    /** Microseconds from the generator's send to the listener, by the clock that all share. */
    private String latency() throws Exception {
        long[] delays = new long[(int) number("messages")];
        AtomicInteger count = new AtomicInteger();
        subscribe((channel, message) -> {
            long sent = ((Number) message.getDataAsMap().get("sent")).longValue();
            delays[count.getAndIncrement()] = System.nanoTime() - sent;
            left.get().countDown();
        });
        push(delays.length);
        Arrays.sort(delays);
        return String.format("{\"p50\": %s, \"p99\": %s, \"p99.9\": %s}",
                percentile(delays, 0.5), percentile(delays, 0.99), percentile(delays, 0.999));
    }

    private static double percentile(long[] sorted, double part) {
        return sorted[(int) Math.rint((sorted.length - 1) * part)] / 1000.0;
    }

    private static void await(CountDownLatch latch) throws InterruptedException {
        if (!latch.await(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException(latch.getCount() + " are missing");
        }
    }

    private long number(String name) {
        return ((Number) task.get(name)).longValue();
    }
}
