package io.wharf;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/** The way into the library from Java 22 on. */
final class FfmLibrary implements NativeLibrary {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final MemoryLayout POINTER = ValueLayout.ADDRESS;

    private final Linker linker = Linker.nativeLinker();
    private final SymbolLookup symbols;
    private final MethodHandle abiVersion;
    private final MethodHandle version;
    private final MethodHandle textFree;
    private final MethodHandle hostOpen;
    private final MethodHandle hostCall;
    private final MethodHandle callDemand;
    private final MethodHandle callCancel;
    private final MethodHandle hostNext;
    private final MethodHandle hostClose;
    private final MethodHandle dataRead;
    private final MethodHandle dataWrite;
    private final MethodHandle dataAnswer;
    /** What is called from the library lives as long as its host. */
    private final Map<Long, Arena> logs = new ConcurrentHashMap<>();

    FfmLibrary(Path file) {
        // Never unloaded: its threads may be in it.
        symbols = SymbolLookup.libraryLookup(file, Arena.global());
        abiVersion = function("wharf_abi_version", FunctionDescriptor.of(INT));
        version = function("wharf_version", FunctionDescriptor.of(POINTER));
        textFree = function("wharf_text_free", FunctionDescriptor.ofVoid(POINTER));
        hostOpen = function("wharf_host_open", FunctionDescriptor.of(POINTER, POINTER, POINTER, POINTER, POINTER, POINTER));
        hostCall = function("wharf_host_call", FunctionDescriptor.of(POINTER, LONG, POINTER, INT, POINTER));
        callDemand = function("wharf_call_demand", FunctionDescriptor.ofVoid(LONG, LONG, INT));
        callCancel = function("wharf_call_cancel", FunctionDescriptor.ofVoid(LONG, LONG));
        hostNext = function("wharf_host_next", FunctionDescriptor.of(INT, LONG, LONG, POINTER, POINTER));
        dataRead = function("wharf_data_read", FunctionDescriptor.of(LONG, LONG, LONG, POINTER, LONG));
        dataWrite = function("wharf_data_write", FunctionDescriptor.of(LONG, LONG, LONG, POINTER, LONG));
        dataAnswer = function("wharf_data_answer", FunctionDescriptor.of(POINTER, LONG, LONG, POINTER));
        hostClose = function("wharf_host_close", FunctionDescriptor.of(INT, LONG, LONG));
    }

    private MethodHandle function(String name, FunctionDescriptor type) {
        MemorySegment address = symbols.find(name).orElseThrow(() -> new UnsatisfiedLinkError(name + " isn't in the library"));
        return linker.downcallHandle(address, type);
    }

    @Override
    public int abiVersion() {
        try {
            return (int) abiVersion.invokeExact();
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public String version() {
        try {
            return text((MemorySegment) version.invokeExact());
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public long open(String home, String options, Consumer<String> log) {
        Arena upcalls = Arena.ofShared();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment callback = log == null ? MemorySegment.NULL : upcall(log, upcalls);
            MemorySegment host = arena.allocate(LONG);
            check((MemorySegment) hostOpen.invokeExact(
                    arena.allocateFrom(home), arena.allocateFrom(options), callback, MemorySegment.NULL, host));
            logs.put(host.get(LONG, 0), upcalls);
            return host.get(LONG, 0);
        } catch (Throwable error) {
            upcalls.close();
            throw unexpected(error);
        }
    }

    private MemorySegment upcall(Consumer<String> log, Arena arena) throws ReflectiveOperationException {
        MethodType type = MethodType.methodType(void.class, Consumer.class, MemorySegment.class, MemorySegment.class);
        MethodHandle line = MethodHandles.lookup().findStatic(FfmLibrary.class, "line", type).bindTo(log);
        return linker.upcallStub(line, FunctionDescriptor.ofVoid(POINTER, POINTER), arena);
    }

    private static void line(Consumer<String> log, MemorySegment context, MemorySegment line) {
        NativeTransport.quietly(() -> log.accept(text(line)));
    }

    @Override
    public long call(long host, String request, int demand) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment call = arena.allocate(LONG);
            check((MemorySegment) hostCall.invokeExact(host, arena.allocateFrom(request), demand, call));
            return call.get(LONG, 0);
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public void demand(long host, long call, int more) {
        try {
            callDemand.invokeExact(host, call, more);
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public void cancel(long host, long call) {
        try {
            callCancel.invokeExact(host, call);
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public Reply next(long host) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment call = arena.allocate(LONG);
            MemorySegment reply = arena.allocate(ValueLayout.ADDRESS);
            int code;
            do {
                code = (int) hostNext.invokeExact(host, -1L, call, reply);
            } while (code == NOTHING);
            return code == REPLY ? new Reply(call.get(LONG, 0), taken(reply.get(ValueLayout.ADDRESS, 0))) : null;
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public int dataRead(long host, long ask, byte[] into, int offset, int length) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(length);
            int count = (int) (long) dataRead.invokeExact(host, ask, buffer, (long) length);
            if (count > 0) {
                MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, into, offset, count);
            }
            return count;
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public boolean dataWrite(long host, long ask, byte[] from, int offset, int length) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(length);
            MemorySegment.copy(from, offset, buffer, ValueLayout.JAVA_BYTE, 0, length);
            return (long) dataWrite.invokeExact(host, ask, buffer, (long) length) >= 0;
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public void dataAnswer(long host, long ask, String answer) {
        try (Arena arena = Arena.ofConfined()) {
            check((MemorySegment) dataAnswer.invokeExact(host, ask, arena.allocateFrom(answer)));
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    @Override
    public int close(long host, long milliseconds) {
        try {
            int code = (int) hostClose.invokeExact(host, milliseconds);
            // Only the one call that closes it may end what its threads call.
            Arena upcalls = code < 0 ? null : logs.remove(host);
            if (upcalls != null) {
                upcalls.close();
            }
            return code;
        } catch (Throwable error) {
            throw unexpected(error);
        }
    }

    private void check(MemorySegment fault) throws Throwable {
        if (!fault.equals(MemorySegment.NULL)) {
            throw Json.exception(taken(fault));
        }
    }

    private String taken(MemorySegment text) throws Throwable {
        try {
            return text(text);
        } finally {
            textFree.invokeExact(text);
        }
    }

    private static String text(MemorySegment text) {
        return text.reinterpret(Long.MAX_VALUE).getString(0);
    }

    private static RuntimeException unexpected(Throwable error) {
        if (error instanceof RuntimeException known) {
            return known;
        }
        if (error instanceof Error fatal) {
            throw fatal;
        }
        return new IllegalStateException(error);
    }
}
