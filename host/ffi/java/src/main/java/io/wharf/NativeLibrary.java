package io.wharf;

import java.util.function.Consumer;

/** The functions of the C library, with texts of Java's own. */
interface NativeLibrary {
    /** The version of the interface that this package is written for. */
    int ABI_VERSION = 1;

    int REPLY = 1;
    int NOTHING = 0;

    /** A reply of a call. */
    record Reply(long call, String text) {}

    int abiVersion();

    String version();

    /** Returns the host's number. The consumer is kept until the host is closed. */
    long open(String home, String options, Consumer<String> log);

    /** Returns the call's number. */
    long call(long host, String request, int demand);

    void demand(long host, long call, int more);

    void cancel(long host, long call);

    /** Waits for a reply of any call; null when the host is closed. */
    Reply next(long host);

    int close(long host, long milliseconds);
}
