package io.wharf;

import com.google.gson.annotations.SerializedName;

/**
 * A run, as lists show it.
 *
 * @param run its id
 * @param submittedAt milliseconds since 1970
 * @param user by whom
 * @param project its project, or null
 * @param kind what kind of work
 * @param configuration under which execution configuration
 * @param state {@code preparing}, {@code queued}, {@code launching}, {@code running}, {@code committing} or {@code ended}
 * @param endedAt milliseconds since 1970, or null
 * @param outcome how it ended, or null
 */
public record RunSummary(
        String run,
        @SerializedName("submitted_at") long submittedAt,
        String user,
        String project,
        String kind,
        String configuration,
        String state,
        @SerializedName("ended_at") Long endedAt,
        Outcome outcome) {}
