package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.function.Function;

/**
 * A home: opened by this process, or reached through the process that owns it.
 *
 * <p>Futures complete on a thread of the host's: what depends on them and takes long belongs on an executor of the caller's
 * ({@code thenAcceptAsync}). The same holds for subscribers of {@link Run#events}.
 */
public final class Host implements AutoCloseable {
    private final Transport transport;

    private Host(Transport transport) {
        this.transport = transport;
    }

    /**
     * Opens a home in this process, and takes over the runs that an earlier process left.
     *
     * @param home its folder
     * @return the host, which the caller closes
     * @throws WharfException {@code home-not-found}, {@code home-busy} (another process owns it: {@link #connect}), {@code store-damaged},
     *     {@code library-unavailable} and others
     */
    public static Host embedded(Path home) {
        return embedded(home, HostOptions.defaults());
    }

    /**
     * Opens a home in this process.
     *
     * @param home its folder
     * @param options threads, log and logins
     * @return the host, which the caller closes
     * @throws WharfException as {@link #embedded(Path)}
     */
    public static Host embedded(Path home, HostOptions options) {
        return new Host(new NativeTransport(home, options));
    }

    /**
     * Connects to the process that owns a home. No native code is loaded: no fault of it can reach this process.
     *
     * @param home its folder, or its socket
     * @return the host, which the caller closes
     * @throws WharfException {@code socket-unreachable}
     */
    public static Host connect(Path home) {
        Path socket = Files.isDirectory(home) ? home.resolve("host.sock") : home;
        Host host = new Host(new SocketTransport(socket));
        try {
            Run.join(host.hello());
        } catch (RuntimeException error) {
            host.close();
            throw error;
        }
        return host;
    }

    /**
     * The version of the native library.
     *
     * @return such as {@code 0.1.0}
     * @throws WharfException {@code library-unavailable}
     */
    public static String libraryVersion() {
        return NativeLibraries.load().version();
    }

    /**
     * Who answers.
     *
     * @return its {@code version}, its {@code process}, and the home's id: {@code host}
     */
    public CompletableFuture<JsonObject> hello() {
        return ask(Json.request("hello"), JsonElement::getAsJsonObject);
    }

    /**
     * Starts an activity.
     *
     * @param activity what to run
     * @return its run
     */
    public CompletableFuture<Run> submit(Activity activity) {
        return submit(activity, null);
    }

    /**
     * Starts an activity once: the same one, submitted again with this key, is found and not run again.
     *
     * @param activity what to run
     * @param key the caller's own key, kept as long as the run's record; may be null
     * @return its run
     */
    public CompletableFuture<Run> submit(Activity activity, String key) {
        JsonObject request = Json.request("submit");
        request.add("activity", Json.GSON.toJsonTree(activity));
        if (key != null) {
            request.addProperty("key", key);
        }
        return ask(request, id -> new Run(this, id.getAsString()));
    }

    /**
     * Finds a run.
     *
     * @param text its id, the beginning of one, or {@code last}
     * @return the run
     */
    public CompletableFuture<Run> run(String text) {
        JsonObject request = Json.request("resolve");
        request.addProperty("text", text);
        return ask(request, id -> new Run(this, id.getAsString()));
    }

    /**
     * The newest runs.
     *
     * @param limit at most so many
     * @return newest first
     */
    public CompletableFuture<List<RunSummary>> runs(int limit) {
        JsonObject request = Json.request("runs");
        request.addProperty("limit", limit);
        return ask(request, runs -> List.of(Json.GSON.fromJson(runs, RunSummary[].class)));
    }

    /**
     * What would happen to an activity. Nothing is created.
     *
     * @param activity what would run
     * @return decisions, plan, image, the engine's object
     */
    public CompletableFuture<JsonObject> explain(Activity activity) {
        JsonObject request = Json.request("explain");
        request.add("activity", Json.GSON.toJsonTree(activity));
        return ask(request, JsonElement::getAsJsonObject);
    }

    /**
     * Sends any message, and gives what it answers.
     *
     * @param request an object with the key {@code request}
     * @return the values and events of its answer; each subscriber sends the message anew
     */
    public Flow.Publisher<JsonElement> call(JsonObject request) {
        return new ReplyPublisher<>(transport, request, Function.identity());
    }

    <T> Flow.Publisher<T> publisher(JsonObject request, Function<JsonElement, T> read) {
        return new ReplyPublisher<>(transport, request, read);
    }

    <T> CompletableFuture<T> ask(JsonObject request, Function<JsonElement, T> read) {
        CompletableFuture<T> answer = new CompletableFuture<>();
        try {
            transport.call(request, 2, new Transport.Replies() {
                @Override
                public void value(JsonElement value) {
                    try {
                        answer.complete(value == null || value.isJsonNull() ? null : read.apply(value));
                    } catch (RuntimeException error) {
                        answer.completeExceptionally(error);
                    }
                }

                @Override
                public void end() {
                    answer.complete(null);
                }

                @Override
                public void fault(WharfException fault) {
                    answer.completeExceptionally(fault);
                }
            });
        } catch (WharfException error) {
            answer.completeExceptionally(error);
        }
        return answer;
    }

    /**
     * Gives the home up, once its runs have ended.
     *
     * <p>Must not be called on a thread of the host's.
     *
     * @param wait how long to wait for them at most; null waits for all
     * @return false if some go on in their containers: whoever opens the home next goes on with them
     */
    public boolean close(Duration wait) {
        return transport.close(wait);
    }

    /** Gives the home up at once. Runs go on in their containers, and whoever opens the home next goes on with them. */
    @Override
    public void close() {
        transport.close(Duration.ZERO);
    }
}
