package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.annotations.SerializedName;
import java.util.List;
import java.util.Map;

/**
 * How a run ended.
 *
 * @param cause why, as a stable word: {@code succeeded}, {@code recipe-failed}, {@code out-of-memory}, {@code stopped}, ...
 * @param sentence why, for a person
 * @param whose whose doing it was: {@code nobody}, {@code recipe}, {@code user}, {@code limit}, {@code engine}, ...
 * @param retryHelps whether trying again, unchanged, can help
 * @param advice what to do next, or null
 * @param evidence the facts that this was concluded from, or null
 * @param exitCode the recipe's exit code, if it came to that
 * @param errorTail the last lines of its error output, for a recipe that failed; or null
 * @param log whether the log is whole, or null
 * @param usage what it used at the most, or null
 */
public record Outcome(
        String cause,
        String sentence,
        String whose,
        @SerializedName("retry_helps") boolean retryHelps,
        String advice,
        Map<String, JsonElement> evidence,
        @SerializedName("exit_code") Integer exitCode,
        @SerializedName("error_tail") List<String> errorTail,
        JsonObject log,
        JsonObject usage) {
    /**
     * Whether the outputs are in place.
     *
     * @return true if the cause is {@code succeeded}
     */
    public boolean succeeded() {
        return "succeeded".equals(cause);
    }
}
