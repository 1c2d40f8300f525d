package rxcometd.tests;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;

import org.cometd.bayeux.Promise;
import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.bayeux.server.ServerChannel;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.AbstractServerTransport;
import org.cometd.server.BayeuxServerImpl;
import org.cometd.server.ext.AcknowledgedMessagesExtension;
import org.cometd.server.ext.BinaryExtension;
import org.cometd.server.ext.TimesyncExtension;
import org.cometd.server.http.JSONHttpTransport;
import org.cometd.server.http.JSONPHttpTransport;
import org.cometd.server.http.jakarta.CometDServlet;
import org.cometd.server.websocket.jetty.JettyWebSocketTransport;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Context;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.websocket.server.WebSocketUpgradeHandler;

/**
 * CometD Java on Jetty for the tests of rx_cometd.
 *
 * <p>Arguments are {@code name=value}: {@code port}, {@code control} (0 or absent: a free one),
 * {@code transports} (connection types with commas) and, passed through as they are, the init
 * parameters of CometD ({@code timeout}, {@code maxInterval}, {@code ws.idleTimeout} and so on).
 * When ready it prints {@code {"port":P,"control":C}}; it ends when its standard input does.
 */
public final class TestServer {
    private static final String PATH = "/cometd/*";
    private static final String MAX_MESSAGE_SIZE = Integer.toString(16 * 1024 * 1024);
    private static final Map<String, Class<?>> TRANSPORTS = Map.of(
            "websocket", JettyWebSocketTransport.class,
            "long-polling", JSONHttpTransport.class,
            "callback-polling", JSONPHttpTransport.class);

    private TestServer() {
    }

    public static void main(String[] arguments) {
        int status = 0;
        try {
            serve(arguments);
            awaitEndOfInput();
        } catch (Exception failure) {
            failure.printStackTrace();
            status = 1;
        }
        // Jetty's threads would keep the process alive.
        Runtime.getRuntime().halt(status);
    }

    private static void serve(String[] arguments) throws Exception {
        Map<String, String> options = options(arguments);
        int port = Integer.parseInt(options.remove("port"));
        int controlPort = Integer.parseInt(options.remove("control"));

        Counters counters = new Counters();
        Denials denials = new Denials();
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server, 1, 1);
        connector.setHost("127.0.0.1");
        connector.setPort(port);
        server.addConnector(connector);

        ServletContextHandler context = new ServletContextHandler("/");
        server.setHandler(context);
        context.insertHandler(WebSocketUpgradeHandler.from(server, context));
        CometDServlet servlet = new CometDServlet() {
            @Override
            protected BayeuxServer newBayeuxServer() {
                BayeuxServer bayeux = super.newBayeuxServer();
                // The WebSocket transport looks for its container in Jetty's context.
                bayeux.setOption(Context.class.getName(), context.getContext());
                bayeux.setOption(AbstractServerTransport.JSON_CONTEXT_OPTION, counters);
                bayeux.setSecurityPolicy(denials);
                bayeux.addExtension(new AcknowledgedMessagesExtension());
                bayeux.addExtension(new BinaryExtension());
                bayeux.addExtension(new TimesyncExtension());
                return bayeux;
            }
        };
        ServletHolder holder = new ServletHolder(servlet);
        options.forEach(holder::setInitParameter);
        holder.setInitOrder(1);
        context.addServlet(holder, PATH);
        server.start();

        BayeuxServerImpl bayeux = (BayeuxServerImpl)servlet.getBayeuxServer();
        addServices(bayeux);
        Control control = new Control(bayeux, connector, counters, denials, controlPort);
        System.out.printf("{\"port\":%d,\"control\":%d}%n", connector.getLocalPort(), control.port());
        System.out.flush();
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        options.put("port", "0");
        options.put("control", "0");
        options.put("transports", "websocket,long-polling");
        options.put("ws.cometdURLMapping", PATH);
        options.put("maxMessageSize", MAX_MESSAGE_SIZE);
        options.put("ws.maxMessageSize", MAX_MESSAGE_SIZE);
        for (String argument : arguments) {
            String[] pair = argument.split("=", 2);
            if (pair.length < 2) {
                throw new IllegalArgumentException("not name=value: " + argument);
            }
            options.put(pair[0], pair[1]);
        }
        options.computeIfPresent("transports", (name, types) -> Arrays.stream(types.split(","))
                .map(type -> TRANSPORTS.get(type).getName()).collect(Collectors.joining(",")));
        return options;
    }

    /**
     * "/service/echo" answers a remote call with its own data, "/service/refuse" likewise but as a
     * failure. The answer carries the id of the request, which is how clients know it.
     */
    private static void addServices(BayeuxServer bayeux) {
        for (String name : new String[]{"/service/echo", "/service/refuse"}) {
            bayeux.createChannelIfAbsent(name, channel -> {
                channel.setPersistent(true);
                channel.addListener(new ServerChannel.MessageListener() {
                    @Override
                    public boolean onMessage(ServerSession from, ServerChannel to,
                                             ServerMessage.Mutable message) {
                        answer(bayeux, from, message, name.endsWith("echo"));
                        return true;
                    }
                });
            });
        }
    }

    private static void answer(BayeuxServer bayeux, ServerSession caller, ServerMessage request,
                               boolean successful) {
        ServerMessage.Mutable answer = bayeux.newMessage();
        answer.setChannel(request.getChannel());
        answer.setId(request.getId());
        answer.setSuccessful(successful);
        answer.setData(request.getData());
        caller.deliver(null, answer, Promise.noop());
    }

    private static void awaitEndOfInput() throws IOException {
        byte[] ignored = new byte[64];
        while (System.in.read(ignored) >= 0) {
            // The tests write nothing: the only news is the end, when they are gone.
        }
    }
}
