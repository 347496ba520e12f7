package io.wharf;

import com.google.gson.JsonObject;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A host of this process, and the thread that hands its replies out. */
final class NativeTransport implements Transport {
    private final NativeLibrary library;
    private final long host;
    private final Map<Long, Replies> calls = new HashMap<>();
    private final Thread thread;

    NativeTransport(Path home, HostOptions options) {
        library = NativeLibraries.load();
        JsonObject json = new JsonObject();
        json.addProperty("threads", options.threads());
        json.addProperty("log_level", options.logLevel());
        if (options.dockerConfig() != null) {
            json.addProperty("docker_config", options.dockerConfig().toString());
        }
        if (options.datasets() != null) {
            json.addProperty("datasets", "caller");
        }
        host = library.open(home.toString(), json.toString(), options.log());
        thread = new Thread(this::deliver, "wharf-replies");
        thread.setDaemon(true);
        thread.start();
        if (options.datasets() != null) {
            DatasetServer.serve(library, host, this, options.datasets());
        }
    }

    @Override
    public Call call(JsonObject request, long demand, Replies replies) {
        long number;
        // Locked until the number is known, so that no reply comes before its call.
        synchronized (calls) {
            number = library.call(host, Json.GSON.toJson(request), clamp(demand));
            calls.put(number, replies);
        }
        return new Call() {
            @Override
            public void demand(long more) {
                library.demand(host, number, clamp(more));
            }

            @Override
            public void cancel() {
                synchronized (calls) {
                    calls.remove(number);
                }
                library.cancel(host, number);
            }
        };
    }

    @Override
    public boolean close(Duration wait) {
        int code = library.close(host, wait == null ? -1 : Math.max(0, wait.toMillis()));
        if (Thread.currentThread() != thread) {
            boolean interrupted = false;
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException error) {
                    interrupted = true;
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
        return code != 1;
    }

    private void deliver() {
        for (NativeLibrary.Reply reply = library.next(host); reply != null; reply = library.next(host)) {
            Replies replies;
            synchronized (calls) {
                replies = calls.get(reply.call());
            }
            if (replies == null) {
                continue;
            }
            String text = reply.text();
            long call = reply.call();
            quietly(() -> {
                if (Transport.deliver(text, replies)) {
                    synchronized (calls) {
                        calls.remove(call);
                    }
                }
            });
        }
        List<Replies> left;
        synchronized (calls) {
            left = List.copyOf(calls.values());
            calls.clear();
        }
        left.forEach(replies -> quietly(() -> replies.fault(Transport.closed("the host was closed"))));
    }

    /** C takes 32 bits, and so many are as good as all. */
    private static int clamp(long demand) {
        return (int) Math.min(demand, Integer.MAX_VALUE);
    }

    /** Nothing may be thrown into the library, nor end the thread that serves all calls. */
    static void quietly(Runnable work) {
        try {
            work.run();
        } catch (RuntimeException error) {
            System.getLogger("io.wharf").log(System.Logger.Level.ERROR, "what was handed out by the host was not taken", error);
        }
    }
}
