package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Flow;

/** One execution of an activity. */
public final class Run {
    private final Host host;
    private final String id;

    Run(Host host, String id) {
        this.host = host;
        this.id = id;
    }

    /**
     * Its id.
     *
     * @return 32 hexadecimal digits
     */
    public String id() {
        return id;
    }

    /**
     * Its events and log lines, from the first to its end.
     *
     * @return a publisher; each subscriber gets all of them
     */
    public Flow.Publisher<Event> events() {
        return events(0);
    }

    /**
     * Its events and log lines after an event, to its end.
     *
     * @param after the number of the last event that is known already
     * @return a publisher
     */
    public Flow.Publisher<Event> events(long after) {
        JsonObject request = message("follow");
        request.addProperty("after", after);
        request.addProperty("follow", true);
        return host.publisher(request, event -> Event.of(event.getAsJsonObject()));
    }

    /**
     * How it ends.
     *
     * @return complete when it has ended
     */
    public CompletableFuture<Outcome> outcome() {
        return host.ask(message("wait"), outcome -> Json.GSON.fromJson(outcome, Outcome.class));
    }

    /**
     * Asks it to end. It has ended when {@link #outcome} says so.
     *
     * @param by who asks
     * @return complete when the host has heard it
     */
    public CompletableFuture<Void> stop(String by) {
        JsonObject request = message("stop");
        request.addProperty("by", by);
        return host.ask(request, nothing -> null);
    }

    /**
     * Its way: every decision, the plan, the engine's object, and how it ended.
     *
     * @return the explanation
     */
    public CompletableFuture<JsonObject> explain() {
        return host.ask(message("explain-run"), JsonElement::getAsJsonObject);
    }

    private JsonObject message(String name) {
        JsonObject request = Json.request(name);
        request.addProperty("run", id);
        return request;
    }

    /** Waits, and throws what a future failed with as it is. */
    static <T> T join(CompletableFuture<T> future) {
        try {
            return future.join();
        } catch (CompletionException error) {
            throw error.getCause() instanceof RuntimeException cause ? cause : error;
        }
    }

    @Override
    public String toString() {
        return "Run " + id;
    }
}
