package io.wharf;

import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;

/** The socket of a home, and the thread that reads the connections of all calls: one JSON object a line, one connection a call. */
final class SocketTransport implements Transport {
    private static final int CHUNK = 1 << 16;

    private final Path socket;
    private final Selector selector;
    private final Thread thread;
    private final Queue<Runnable> changes = new ArrayDeque<>();
    private final ByteBuffer chunk = ByteBuffer.allocate(CHUNK);
    private boolean closed;

    SocketTransport(Path socket) {
        this.socket = socket;
        try {
            selector = Selector.open();
        } catch (IOException error) {
            throw unreachable(error);
        }
        thread = new Thread(this::serve, "wharf-replies");
        thread.setDaemon(true);
        thread.start();
    }

    /** One call's connection. Its state is the thread's. */
    private final class Connection implements Call {
        private final SocketChannel channel;
        private final Replies replies;
        private final ByteArrayOutputStream line = new ByteArrayOutputStream();
        private final Queue<String> read = new ArrayDeque<>();
        private SelectionKey key;
        private long wanted;
        private boolean over;

        Connection(SocketChannel channel, long wanted, Replies replies) {
            this.channel = channel;
            this.wanted = wanted;
            this.replies = replies;
        }

        @Override
        public void demand(long more) {
            change(() -> {
                wanted = wanted + more < 0 ? Long.MAX_VALUE : wanted + more;
                advance();
            });
        }

        @Override
        public void cancel() {
            change(this::end);
        }

        void begin() {
            try {
                channel.configureBlocking(false);
                key = channel.register(selector, 0, this);
                advance();
            } catch (IOException error) {
                fail("the connection to the owner of the home failed: " + error.getMessage());
            }
        }

        /** Hands out what was read and is wanted; reads on only if more is. */
        void advance() {
            while (!over && wanted > 0 && !read.isEmpty()) {
                wanted--;
                String reply = read.remove();
                try {
                    if (Transport.deliver(reply, replies)) {
                        end();
                    }
                } catch (JsonParseException | IllegalStateException error) {
                    fail("the owner of the home said something else: " + error.getMessage());
                }
            }
            if (!over) {
                key.interestOps(wanted > 0 ? SelectionKey.OP_READ : 0);
            }
        }

        void readable() {
            try {
                chunk.clear();
                if (channel.read(chunk) < 0) {
                    fail("the process that owns the home went away before it answered");
                    return;
                }
                chunk.flip();
                while (chunk.hasRemaining()) {
                    byte next = chunk.get();
                    if (next == '\n') {
                        read.add(line.toString(StandardCharsets.UTF_8));
                        line.reset();
                    } else {
                        line.write(next);
                    }
                }
                advance();
            } catch (IOException error) {
                fail("the process that owns the home went away: " + error.getMessage());
            }
        }

        void fail(String reason) {
            if (!over) {
                end();
                NativeTransport.quietly(() -> replies.fault(Transport.closed(reason)));
            }
        }

        void end() {
            over = true;
            if (key != null) {
                key.cancel();
            }
            try {
                channel.close();
            } catch (IOException error) {
                // It is closed all the same.
            }
        }
    }

    @Override
    public Call call(JsonObject request, long demand, Replies replies) {
        SocketChannel channel = null;
        try {
            channel = SocketChannel.open(UnixDomainSocketAddress.of(socket));
            ByteBuffer message = ByteBuffer.wrap((Json.GSON.toJson(request) + "\n").getBytes(StandardCharsets.UTF_8));
            while (message.hasRemaining()) {
                channel.write(message);
            }
        } catch (IOException error) {
            if (channel != null) {
                try {
                    channel.close();
                } catch (IOException second) {
                    error.addSuppressed(second);
                }
            }
            throw unreachable(error);
        }
        Connection connection = new Connection(channel, demand, replies);
        if (!change(connection::begin)) {
            connection.end();
            throw Transport.closed("the connection to the home was closed");
        }
        return connection;
    }

    /** The owner of the home goes on, and its runs with it: nothing is waited for. */
    @Override
    public boolean close(Duration wait) {
        synchronized (changes) {
            closed = true;
        }
        selector.wakeup();
        return true;
    }

    /** Has the thread do something. False when it has ended. */
    private boolean change(Runnable work) {
        synchronized (changes) {
            if (closed) {
                return false;
            }
            changes.add(work);
        }
        selector.wakeup();
        return true;
    }

    private void serve() {
        try (selector) {
            while (true) {
                boolean last;
                Runnable[] now;
                synchronized (changes) {
                    last = closed;
                    now = changes.toArray(Runnable[]::new);
                    changes.clear();
                }
                for (Runnable change : now) {
                    NativeTransport.quietly(change);
                }
                if (last) {
                    break;
                }
                selector.select(key -> NativeTransport.quietly(() -> ((Connection) key.attachment()).readable()));
            }
            for (SelectionKey key : List.copyOf(selector.keys())) {
                ((Connection) key.attachment()).fail("the connection to the home was closed");
            }
        } catch (IOException error) {
            synchronized (changes) {
                closed = true;
            }
            System.getLogger("io.wharf").log(System.Logger.Level.ERROR, "the sockets of calls can't be watched", error);
        }
    }

    private WharfException unreachable(IOException error) {
        return new WharfException(
                "socket-unreachable",
                "the process that owns the home doesn't answer at " + socket + ": " + error.getMessage(),
                "open the home in this process, or start the process that owns it");
    }
}
