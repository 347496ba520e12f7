package io.wharf;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import io.wharf.DatasetStore.Access;
import io.wharf.DatasetStore.Schema;
import io.wharf.DatasetStore.Token;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;

/** Answers what a host asks of its store, each ask on a thread of its own. */
final class DatasetServer {
    /** Asks that are worked on at once: more than the 32 that may wait for containers. */
    private static final int ASKS = 256;

    private static final int BUFFER = 256 << 10;
    private static final AtomicLong NUMBER = new AtomicLong();

    private final NativeLibrary library;
    private final long host;
    private final DatasetStore store;
    private final CompletableFuture<Transport.Call> call = new CompletableFuture<>();

    private DatasetServer(NativeLibrary library, long host, DatasetStore store) {
        this.library = library;
        this.host = host;
        this.store = store;
    }

    /** Serves until the host is closed. */
    static void serve(NativeLibrary library, long host, Transport transport, DatasetStore store) {
        DatasetServer server = new DatasetServer(library, host, store);
        server.call.complete(transport.call(Json.request("serve-datasets"), ASKS, new Transport.Replies() {
            @Override
            public void value(JsonElement value) {
                server.take(value.getAsJsonObject());
            }

            @Override
            public void end() {}

            @Override
            public void fault(WharfException fault) {}
        }));
    }

    private void take(JsonObject ask) {
        Thread thread = new Thread(() -> work(ask), "wharf-datasets-" + NUMBER.incrementAndGet());
        thread.setDaemon(true);
        thread.start();
    }

    private void work(JsonObject ask) {
        JsonObject answer = new JsonObject();
        String name = ask.get("ask").getAsString();
        try {
            answer.add("value", answer(name, ask));
        } catch (DatasetException error) {
            answer.add("fault", fault(error.code(), error.getMessage()));
        } catch (Gone error) {
            answer.add("fault", fault("broken", error.getMessage()));
        } catch (Exception | StackOverflowError error) {
            System.getLogger("io.wharf").log(System.Logger.Level.ERROR, "the dataset store failed at " + name, error);
            answer.add("fault", fault("store-failed", error.toString()));
        }
        NativeTransport.quietly(() -> library.dataAnswer(host, ask.get("id").getAsLong(), answer.toString()));
        NativeTransport.quietly(() -> call.join().demand(1));
    }

    private JsonElement answer(String name, JsonObject ask) throws Exception {
        long id = ask.get("id").getAsLong();
        Binding binding = Json.GSON.fromJson(ask.get("binding"), Binding.class);
        Token token = Json.GSON.fromJson(ask.get("token"), Token.class);
        String path = ask.has("path") ? ask.get("path").getAsString() : null;
        JsonElement most = ask.get("limit");
        OptionalLong limit = most == null || most.isJsonNull() ? OptionalLong.empty() : OptionalLong.of(most.getAsLong());
        switch (name) {
            case "check" -> store.check(binding, Access.valueOf(ask.get("access").getAsString().toUpperCase(Locale.ROOT)));
            case "schema" -> {
                return Json.GSON.toJsonTree(store.schema(binding));
            }
            case "staged-schema" -> {
                return Json.GSON.toJsonTree(store.stagedSchema(token, binding).orElse(null));
            }
            case "read" -> {
                OutputStream csv = new BufferedOutputStream(new Output(id), BUFFER);
                store.read(binding, token, csv);
                csv.flush();
            }
            case "read-file" -> {
                OutputStream file = new BufferedOutputStream(new Output(id), BUFFER);
                store.readFile(binding, path, token, file);
                file.flush();
            }
            case "stage" -> {
                Schema schema = Json.GSON.fromJson(ask.get("schema"), Schema.class);
                return new JsonPrimitive(store.stage(token, binding, schema, new BufferedInputStream(new Input(id), BUFFER), limit));
            }
            case "stage-file" -> store.stageFile(token, binding, path, new BufferedInputStream(new Input(id), BUFFER), limit);
            case "stage-delete" -> store.stageDelete(token, binding, path);
            case "list" -> {
                return Json.GSON.toJsonTree(store.list(binding, token));
            }
            case "commit" -> {
                return Json.GSON.toJsonTree(store.commit(token));
            }
            case "abort" -> store.abort(token);
            case "status" -> {
                return new JsonPrimitive(store.status(token).name().toLowerCase(Locale.ROOT));
            }
            case "forget" -> store.forget(token);
            default -> throw new DatasetException("unusable", "this package doesn't know what " + name + " is: use library and package of one version");
        }
        return JsonNull.INSTANCE;
    }

    private static JsonObject fault(String code, String message) {
        JsonObject fault = new JsonObject();
        fault.addProperty("code", code);
        fault.addProperty("message", message == null ? code : message);
        return fault;
    }

    /** The other end of a stream went away. */
    private static final class Gone extends InterruptedIOException {
        private static final long serialVersionUID = 1L;

        Gone(String message) {
            super(message);
        }
    }

    /** What a container sends. */
    private final class Input extends InputStream {
        private final long ask;

        Input(long ask) {
            this.ask = ask;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            int count = library.dataRead(host, ask, into, offset, length);
            if (count < 0) {
                throw new Gone("the run broke off in the middle of its data");
            }
            return count == 0 ? -1 : count;
        }
    }

    /** What a container gets. */
    private final class Output extends OutputStream {
        private final long ask;

        Output(long ask) {
            this.ask = ask;
        }

        @Override
        public void write(int one) throws IOException {
            write(new byte[] {(byte) one}, 0, 1);
        }

        @Override
        public void write(byte[] from, int offset, int length) throws IOException {
            if (length > 0 && !library.dataWrite(host, ask, from, offset, length)) {
                throw new Gone("nobody wants the data any more");
            }
        }
    }
}
