package rxcometd.tests;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.bayeux.server.ServerChannel;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.DefaultSecurityPolicy;

/** A security policy whose refusals are switched on and off by the tests. */
final class Denials extends DefaultSecurityPolicy {
    /** Stands for every channel. */
    static final String ANY = "*";

    private final Set<String> subscribe = ConcurrentHashMap.newKeySet();
    private final Set<String> publish = ConcurrentHashMap.newKeySet();
    private volatile boolean handshake;
    private volatile Map<String, Object> handshakeAdvice;

    /** Begins or ends the refusal of an operation; {@code advice} is sent with refused handshakes. */
    void set(String operation, String channel, boolean denied, Map<String, Object> advice) {
        switch (operation) {
            case "handshake" -> {
                handshakeAdvice = advice;
                handshake = denied;
            }
            case "subscribe" -> change(subscribe, channel, denied);
            case "publish" -> change(publish, channel, denied);
            default -> throw new IllegalArgumentException("cannot deny " + operation);
        }
    }

    private static void change(Set<String> channels, String channel, boolean denied) {
        if (denied) {
            channels.add(channel);
        } else {
            channels.remove(channel);
        }
    }

    private static boolean denied(Set<String> channels, String channel) {
        return channels.contains(ANY) || channels.contains(channel);
    }

    @Override
    public boolean canHandshake(BayeuxServer server, ServerSession session, ServerMessage message) {
        Map<String, Object> advice = handshakeAdvice;
        if (handshake && advice != null) {
            message.getAssociated().getAdvice(true).putAll(advice);
        }
        return !handshake && super.canHandshake(server, session, message);
    }

    @Override
    public boolean canSubscribe(BayeuxServer server, ServerSession session, ServerChannel channel,
                                ServerMessage message) {
        return !denied(subscribe, channel.getId())
                && super.canSubscribe(server, session, channel, message);
    }

    @Override
    public boolean canPublish(BayeuxServer server, ServerSession session, ServerChannel channel,
                              ServerMessage message) {
        return !denied(publish, channel.getId())
                && super.canPublish(server, session, channel, message);
    }
}
