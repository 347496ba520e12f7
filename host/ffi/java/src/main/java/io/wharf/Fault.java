package io.wharf;

/**
 * An error that a host reported.
 *
 * @param code stable: {@code config-unknown-key}, {@code home-busy}, ...
 * @param message what is wrong, with the object it is about
 * @param hint what to do, or null
 * @param at where, or null
 */
public record Fault(String code, String message, String hint, Location at) {
    /**
     * A place in a file.
     *
     * @param file its path
     * @param line counts from 1, or null
     */
    public record Location(String file, Integer line) {}
}
