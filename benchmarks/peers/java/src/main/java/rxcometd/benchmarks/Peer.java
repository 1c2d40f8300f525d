package rxcometd.benchmarks;

import com.sun.management.OperatingSystemMXBean;
import jakarta.websocket.ContainerProvider;
import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.cometd.client.BayeuxClient;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.util.ajax.JSON;

/** The CometD Java client as a peer; see benchmarks/peers/task.py. It receives, and no more. */
public final class Peer {
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
        if (!"receive".equals(task.get("kind"))) {
            throw new IllegalArgumentException("the Java peer only receives");
        }
        System.out.println(new Peer(task).receive());
        System.exit(0);
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
        client.handshake();
        if (!client.waitFor(10_000, BayeuxClient.State.CONNECTED)) {
            throw new IllegalStateException("not connected");
        }
        CountDownLatch subscribed = new CountDownLatch(1);
        client.getChannel("/bench/0/x")
                .subscribe((channel, message) -> left.get().countDown(),
                        reply -> subscribed.countDown());
        subscribed.await(10, TimeUnit.SECONDS);
        push(number("warm_up"));
        long cpu = SYSTEM.getProcessCpuTime();
        long wall = System.nanoTime();
        push(number("messages"));
        return String.format("{\"messages\": %d, \"cpu\": %s, \"wall\": %s}",
                number("messages"),
                (SYSTEM.getProcessCpuTime() - cpu) / 1e9,
                (System.nanoTime() - wall) / 1e9);
    }

    private void push(long messages) throws InterruptedException {
        left.set(new CountDownLatch((int) messages));
        client.getChannel("/push").publish(Map.of(
                "messages", messages,
                "per_frame", number("per_frame"),
                "coalesced", task.get("coalesced")));
        left.get().await(60, TimeUnit.SECONDS);
    }

    private long number(String name) {
        return ((Number) task.get(name)).longValue();
    }
}
