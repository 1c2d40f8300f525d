package rxcometd.tests;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import org.cometd.bayeux.BinaryData;
import org.cometd.bayeux.Promise;
import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.bayeux.server.ServerChannel;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.BayeuxServerImpl;
import org.cometd.server.ServerSessionImpl;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.ajax.JSON;

/**
 * The tests' way behind the server: one JSON object in by POST, {@code {"command": name, ...}},
 * and one out, {@code {"result": ...}} with status 200 or {@code {"error": text}} with 400.
 */
final class Control {
    private final BayeuxServerImpl bayeux;
    private final ServerConnector connector;
    private final Counters counters;
    private final Denials denials;
    private final JSON json = new JSON();
    private final HttpServer http;
    /** The arguments of the last "greet": what every new session is delivered to begin with. */
    private volatile Map<String, Object> greeting;

    Control(BayeuxServerImpl bayeux, ServerConnector connector, Counters counters, Denials denials,
            int port) throws IOException {
        this.bayeux = bayeux;
        this.connector = connector;
        this.counters = counters;
        this.denials = denials;
        bayeux.addListener(new BayeuxServer.SessionListener() {
            @Override
            public void sessionAdded(ServerSession session, ServerMessage handshake) {
                greet(session);
            }
        });
        http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        http.createContext("/", this::handle);
        http.start();
    }

    int port() {
        return http.getAddress().getPort();
    }

    private void handle(HttpExchange exchange) throws IOException {
        Map<String, Object> answer = new HashMap<>();
        int status = 200;
        try {
            String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            @SuppressWarnings("unchecked")
            Map<String, Object> arguments = (Map<String, Object>)json.fromJSON(body);
            answer.put("result", run(arguments));
        } catch (RuntimeException failure) {
            status = 400;
            answer.put("error", failure.toString());
        }
        byte[] reply = json.toJSON(answer).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, reply.length);
        exchange.getResponseBody().write(reply);
        exchange.close();
    }

    private Object run(Map<String, Object> arguments) {
        String command = text(arguments, "command");
        return switch (command) {
            case "ping" -> true;
            case "publish" -> publish(arguments);
            case "deliver" -> deliver(arguments);
            case "greet" -> setGreeting(arguments);
            case "disconnect" -> disconnect(session(arguments));
            case "forget" -> forget(session(arguments));
            case "drop" -> drop();
            case "deny" -> deny(arguments, true);
            case "allow" -> deny(arguments, false);
            case "sessions" -> ids(bayeux.getSessions());
            case "subscribers" -> subscribers(text(arguments, "channel"));
            case "counters" -> counters.snapshot();
            case "reset_counters" -> resetCounters();
            default -> throw new IllegalArgumentException("unknown command " + command);
        };
    }

    private long publish(Map<String, Object> arguments) {
        ServerChannel channel =
                bayeux.createChannelIfAbsent(text(arguments, "channel")).getReference();
        if (!arguments.containsKey("count")) {
            channel.publish(null, data(arguments), Promise.noop());
            return 1;
        }
        long count = number(arguments, "count", 0);
        long first = number(arguments, "first", 0);
        int size = (int)number(arguments, "size", 0);
        for (long n = first; n < first + count; ++n) {
            channel.publish(null, numbered(n, size), Promise.noop());
        }
        return count;
    }

    /** {@code {"n": n}}, padded to {@code size} bytes of JSON when that is more. */
    private static Map<String, Object> numbered(long n, int size) {
        Map<String, Object> data = new HashMap<>();
        data.put("n", n);
        int missing = size - "{\"n\":,\"padding\":\"\"}".length() - Long.toString(n).length();
        if (missing > 0) {
            char[] padding = new char[missing];
            Arrays.fill(padding, 'x');
            data.put("padding", new String(padding));
        }
        return data;
    }

    private boolean deliver(Map<String, Object> arguments) {
        ServerMessage.Mutable message = bayeux.newMessage();
        message.setChannel(text(arguments, "channel"));
        message.setData(data(arguments));
        if (arguments.get("id") instanceof String id) {
            message.setId(id);
        }
        session(arguments).deliver(null, message, Promise.noop());
        return true;
    }

    private boolean setGreeting(Map<String, Object> arguments) {
        greeting = number(arguments, "count", 0) > 0 ? arguments : null;
        return true;
    }

    private void greet(ServerSession session) {
        Map<String, Object> arguments = greeting;
        if (arguments == null || session.isLocalSession()) {
            return;
        }
        for (long n = 0; n < number(arguments, "count", 0); ++n) {
            ServerMessage.Mutable message = bayeux.newMessage();
            message.setChannel(text(arguments, "channel"));
            message.setData(numbered(n, 0));
            session.deliver(null, message, Promise.noop());
        }
    }

    private static boolean disconnect(ServerSession session) {
        session.disconnect();
        return true;
    }

    /** As the sweeper does after maxInterval, but a held connect is answered at once. */
    private boolean forget(ServerSession session) {
        boolean removed = bayeux.removeServerSession(session, true);
        ((ServerSessionImpl)session).flush();
        return removed;
    }

    /** Cuts every TCP connection, sessions stay. */
    private int drop() {
        List<EndPoint> endPoints = List.copyOf(connector.getConnectedEndPoints());
        endPoints.forEach(EndPoint::close);
        return endPoints.size();
    }

    private boolean deny(Map<String, Object> arguments, boolean denied) {
        @SuppressWarnings("unchecked")
        Map<String, Object> advice = (Map<String, Object>)arguments.get("advice");
        Object channel = arguments.getOrDefault("channel", Denials.ANY);
        denials.set(text(arguments, "operation"), channel.toString(), denied, advice);
        return true;
    }

    private List<String> subscribers(String name) {
        ServerChannel channel = bayeux.getChannel(name);
        return channel == null ? List.of() : ids(channel.getSubscribers());
    }

    private boolean resetCounters() {
        counters.reset();
        return true;
    }

    private static List<String> ids(Iterable<? extends ServerSession> sessions) {
        List<String> ids = new ArrayList<>();
        for (ServerSession session : sessions) {
            if (!session.isLocalSession()) {
                ids.add(session.getId());
            }
        }
        return ids;
    }

    private ServerSession session(Map<String, Object> arguments) {
        String id = text(arguments, "client_id");
        ServerSession session = bayeux.getSession(id);
        if (session == null) {
            throw new IllegalArgumentException("no session " + id);
        }
        return session;
    }

    /** The argument "data", or the bytes of "binary" (base64), which the extension will encode. */
    private static Object data(Map<String, Object> arguments) {
        if (arguments.get("binary") instanceof String binary) {
            return new BinaryData(Base64.getDecoder().decode(binary), true, null);
        }
        return arguments.get("data");
    }

    private static String text(Map<String, Object> arguments, String name) {
        if (arguments.get(name) instanceof String text) {
            return text;
        }
        throw new IllegalArgumentException("missing " + name);
    }

    private static long number(Map<String, Object> arguments, String name, long otherwise) {
        return arguments.get(name) instanceof Number number ? number.longValue() : otherwise;
    }
}
