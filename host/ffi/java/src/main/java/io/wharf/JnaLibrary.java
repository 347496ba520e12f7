package io.wharf;

import com.sun.jna.Callback;
import com.sun.jna.Library;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/** The way into the library before Java 22. */
final class JnaLibrary implements NativeLibrary {
    /** The functions as C has them. */
    interface Functions extends Library {
        int wharf_abi_version();

        String wharf_version();

        void wharf_text_free(Pointer text);

        Pointer wharf_host_open(String home, String options, Log log, Pointer context, LongByReference host);

        Pointer wharf_host_call(long host, String request, int demand, LongByReference call);

        void wharf_call_demand(long host, long call, int more);

        void wharf_call_cancel(long host, long call);

        int wharf_host_next(long host, long milliseconds, LongByReference call, PointerByReference reply);

        long wharf_data_read(long host, long ask, Pointer buffer, long capacity);

        long wharf_data_write(long host, long ask, Pointer bytes, long length);

        Pointer wharf_data_answer(long host, long ask, String answer);

        int wharf_host_close(long host, long milliseconds);
    }

    /** What the library calls with a line of its log. */
    interface Log extends Callback {
        void line(Pointer context, Pointer line);
    }

    private final Functions functions;
    /** What is called from the library must not be collected. */
    private final Map<Long, Log> logs = new ConcurrentHashMap<>();

    JnaLibrary(Path file) {
        functions = Native.load(file.toString(), Functions.class, Map.of(Library.OPTION_STRING_ENCODING, "UTF-8"));
    }

    @Override
    public int abiVersion() {
        return functions.wharf_abi_version();
    }

    @Override
    public String version() {
        return functions.wharf_version();
    }

    @Override
    public long open(String home, String options, Consumer<String> log) {
        Log callback = log == null ? null : (context, line) -> NativeTransport.quietly(() -> log.accept(line.getString(0, "UTF-8")));
        LongByReference host = new LongByReference();
        check(functions.wharf_host_open(home, options, callback, null, host));
        if (callback != null) {
            logs.put(host.getValue(), callback);
        }
        return host.getValue();
    }

    @Override
    public long call(long host, String request, int demand) {
        LongByReference call = new LongByReference();
        check(functions.wharf_host_call(host, request, demand, call));
        return call.getValue();
    }

    @Override
    public void demand(long host, long call, int more) {
        functions.wharf_call_demand(host, call, more);
    }

    @Override
    public void cancel(long host, long call) {
        functions.wharf_call_cancel(host, call);
    }

    @Override
    public Reply next(long host) {
        LongByReference call = new LongByReference();
        PointerByReference reply = new PointerByReference();
        int code;
        do {
            code = functions.wharf_host_next(host, -1, call, reply);
        } while (code == NOTHING);
        return code == REPLY ? new Reply(call.getValue(), taken(reply.getValue())) : null;
    }

    @Override
    public int dataRead(long host, long ask, byte[] into, int offset, int length) {
        try (Memory buffer = new Memory(length)) {
            int count = (int) functions.wharf_data_read(host, ask, buffer, length);
            if (count > 0) {
                buffer.read(0, into, offset, count);
            }
            return count;
        }
    }

    @Override
    public boolean dataWrite(long host, long ask, byte[] from, int offset, int length) {
        try (Memory buffer = new Memory(length)) {
            buffer.write(0, from, offset, length);
            return functions.wharf_data_write(host, ask, buffer, length) >= 0;
        }
    }

    @Override
    public void dataAnswer(long host, long ask, String answer) {
        check(functions.wharf_data_answer(host, ask, answer));
    }

    @Override
    public int close(long host, long milliseconds) {
        int code = functions.wharf_host_close(host, milliseconds);
        // Only the one call that closes it may end what its threads call.
        if (code >= 0) {
            logs.remove(host);
        }
        return code;
    }

    private void check(Pointer fault) {
        if (fault != null) {
            throw Json.exception(taken(fault));
        }
    }

    private String taken(Pointer text) {
        try {
            return text.getString(0, "UTF-8");
        } finally {
            functions.wharf_text_free(text);
        }
    }
}
