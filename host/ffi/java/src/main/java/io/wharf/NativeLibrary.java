package io.wharf;

import java.util.function.Consumer;

/** The functions of the C library, with texts of Java's own. */
interface NativeLibrary {
    /** The version of the interface that this package is written for. */
    int ABI_VERSION = 2;

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

    /** Waits for bytes of an ask's stream: how many, 0 at the end, less than that when it broke off. */
    int dataRead(long host, long ask, byte[] into, int offset, int length);

    /** Waits for room. False when nobody wants the bytes. */
    boolean dataWrite(long host, long ask, byte[] from, int offset, int length);

    void dataAnswer(long host, long ask, String answer);

    int close(long host, long milliseconds);
}
