package io.wharf;

import java.io.IOException;

/** Why a {@link DatasetStore} doesn't do as asked. */
public final class DatasetException extends IOException {
    private static final long serialVersionUID = 1L;

    /** Stable, for programs. */
    private final String code;

    /**
     * Says why.
     *
     * @param code {@code not-found} (the message names what isn't there), {@code unusable}, {@code bad-rows}, {@code full} or {@code closed}
     * @param message one sentence for the person who started the run
     */
    public DatasetException(String code, String message) {
        super(message);
        this.code = code;
    }

    /**
     * What kind of reason.
     *
     * @return the code
     */
    public String code() {
        return code;
    }
}
