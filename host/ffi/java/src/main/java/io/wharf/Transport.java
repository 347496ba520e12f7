package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.time.Duration;

/** A way to a host: calls, whose replies come one by one on the transport's own thread. */
interface Transport {
    /** The replies of a call, as they come. Must be quick. */
    interface Replies {
        void value(JsonElement value);

        void end();

        void fault(WharfException fault);
    }

    /** A call under way. */
    interface Call {
        /** Asks for so many more replies. */
        void demand(long more);

        /** No reply comes after this, unless one is being delivered. */
        void cancel();
    }

    /**
     * Sends a message. May deliver before it returns.
     *
     * @throws WharfException if it can't be sent
     */
    Call call(JsonObject request, long demand, Replies replies);

    /** Ends: waits so long for runs, or for all of them if it is null. True when no run goes on that this process was to watch. */
    boolean close(Duration wait);

    /** Hands a reply out. True when it was the last one. */
    static boolean deliver(String text, Replies replies) {
        JsonElement reply = Json.parse(text);
        if (reply.isJsonPrimitive()) {
            replies.end();
            return true;
        }
        JsonObject object = reply.getAsJsonObject();
        if (object.has("fault")) {
            replies.fault(Json.exception(object.get("fault")));
            return true;
        }
        replies.value(object.has("event") ? object.get("event") : object.get("value"));
        return false;
    }

    static WharfException closed(String reason) {
        return new WharfException("host-closed", reason, "open the home again: its runs are found");
    }
}
