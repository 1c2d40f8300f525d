package rxcometd.tests;

import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.text.ParseException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.common.JSONContext;
import org.cometd.server.JettyJSONContextServer;

/**
 * What came over the wire, counted where a payload becomes messages: the JSON parser runs exactly
 * once per HTTP request body and once per WebSocket frame, before any extension or session check.
 */
final class Counters extends JettyJSONContextServer {
    private static final List<String> NAMES = List.of(
            "payloads", "messages", "handshakes", "connects", "disconnects", "publishes",
            "subscribes", "unsubscribes", "subscribed_channels", "subscribe_payloads",
            "largest_subscribe_payload");

    private final Map<String, Long> counts = new TreeMap<>();

    Counters() {
        reset();
    }

    synchronized void reset() {
        NAMES.forEach(name -> counts.put(name, 0L));
    }

    synchronized Map<String, Object> snapshot() {
        return new TreeMap<>(counts);
    }

    @Override
    public List<ServerMessage.Mutable> parse(String json) throws ParseException {
        return count(super.parse(json));
    }

    @Override
    public JSONContext.AsyncParser newAsyncParser() {
        JSONContext.AsyncParser parser = super.newAsyncParser();
        return new JSONContext.AsyncParser() {
            @Override
            public void parse(ByteBuffer buffer) {
                parser.parse(buffer);
            }

            @Override
            @SuppressWarnings("unchecked")
            public <R> R complete() {
                List<ServerMessage.Mutable> messages = parser.complete();
                return (R)count(messages);
            }
        };
    }

    private synchronized List<ServerMessage.Mutable> count(List<ServerMessage.Mutable> messages) {
        add("payloads", 1);
        add("messages", messages.size());
        long subscribes = 0;
        for (ServerMessage.Mutable message : messages) {
            String channel = message.getChannel();
            add(name(channel), 1);
            if (Channel.META_SUBSCRIBE.equals(channel)) {
                ++subscribes;
                Object subscription = message.get(Message.SUBSCRIPTION_FIELD);
                add("subscribed_channels", size(subscription));
            }
        }
        if (subscribes > 0) {
            add("subscribe_payloads", 1);
            counts.merge("largest_subscribe_payload", subscribes, Math::max);
        }
        return messages;
    }

    private void add(String name, long amount) {
        counts.merge(name, amount, Long::sum);
    }

    private static long size(Object subscription) {
        if (subscription instanceof List<?> list) {
            return list.size();
        }
        boolean array = subscription != null && subscription.getClass().isArray();
        return array ? Array.getLength(subscription) : 1;
    }

    private static String name(String channel) {
        return switch (channel == null ? "" : channel) {
            case Channel.META_HANDSHAKE -> "handshakes";
            case Channel.META_CONNECT -> "connects";
            case Channel.META_DISCONNECT -> "disconnects";
            case Channel.META_SUBSCRIBE -> "subscribes";
            case Channel.META_UNSUBSCRIBE -> "unsubscribes";
            default -> "publishes";
        };
    }
}
