package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;

/**
 * One thing that happened to a run.
 *
 * @param run the run's id
 * @param seq counts its events from 1; a log line carries the number of the event before it
 * @param at milliseconds since 1970
 * @param kind what it was: {@code submitted}, {@code decision}, {@code phase-started}, {@code phase-ended}, {@code progress}, {@code queued},
 *     {@code log}, {@code log-gap}, {@code usage}, {@code stop-requested}, {@code recovered}, {@code ended}
 * @param body all of its keys, by its kind
 */
public record Event(String run, long seq, long at, String kind, JsonObject body) {
    static Event of(JsonObject body) {
        return new Event(
                body.get("run").getAsString(),
                body.get("seq").getAsLong(),
                body.get("at").getAsLong(),
                body.get("event").getAsString(),
                body);
    }

    /**
     * A key of the body.
     *
     * @param key such as {@code phase}, {@code text} or {@code why}
     * @return its text, or null if it isn't there or is no text
     */
    public String text(String key) {
        JsonElement value = body.get(key);
        return value != null && value.isJsonPrimitive() ? value.getAsString() : null;
    }

    /**
     * The line of a {@code log} event.
     *
     * @return the line, or null for other kinds
     */
    public String logLine() {
        return "log".equals(kind) ? text("text") : null;
    }

    /**
     * How the run ended, of an {@code ended} event.
     *
     * @return the outcome, or null for other kinds
     */
    public Outcome outcome() {
        return "ended".equals(kind) ? Json.GSON.fromJson(body, Outcome.class) : null;
    }
}
