package io.wharf;

/** A {@link Fault}, thrown. */
public final class WharfException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Fault fault;

    /**
     * Makes one of a fault.
     *
     * @param fault what a host reported
     */
    public WharfException(Fault fault) {
        super(fault.hint() == null ? fault.message() : fault.message() + "\n" + fault.hint());
        this.fault = fault;
    }

    WharfException(String code, String message, String hint) {
        this(new Fault(code, message, hint, null));
    }

    /**
     * What was reported.
     *
     * @return code, message, hint and place
     */
    public Fault fault() {
        return fault;
    }

    /**
     * The fault's code.
     *
     * @return {@code home-busy}, {@code no-such-run}, ...
     */
    public String code() {
        return fault.code();
    }
}
