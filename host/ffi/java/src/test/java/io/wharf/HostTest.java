package io.wharf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A host in this process and over its socket, on a real engine. The property {@code wharf.test.home} names a home with a
 * configuration {@code docker-local} for the group {@code analysts}, and one called {@code traps} whose check traps; {@code
 * wharf.test.other-home} names another home.
 */
@Timeout(180)
class HostTest {
    private static final Path HOME = Path.of(System.getProperty("wharf.test.home"));

    private static Activity.Builder recipe(String code) {
        return Activity.python(code).user("ana").group("analysts").configuration("docker-local");
    }

    private static List<String> lines(List<Event> events) {
        return events.stream().map(Event::logLine).filter(line -> line != null).toList();
    }

    private static WharfException failure(CompletableFuture<?> future) {
        return (WharfException) assertThrows(CompletionException.class, future::join).getCause();
    }

    @Test
    void aRecipeRunsAndIsFollowed() {
        try (Host host = Host.embedded(HOME)) {
            Run run = host.submit(recipe("for i in range(1000): print(i, 'grüße')").build()).join();
            List<Event> events = Collector.all(run.events(), 7);
            assertEquals(IntStream.range(0, 1000).mapToObj(i -> i + " grüße").toList(), lines(events));
            assertTrue(events.get(events.size() - 1).outcome().succeeded());
            assertEquals("the recipe succeeded", run.outcome().join().sentence());
            assertEquals(run.id(), host.runs(1).join().get(0).run());
            assertEquals(run.id(), host.run("last").join().id());
            assertTrue(run.explain().join().get("decisions").getAsJsonArray().size() > 0);
            assertEquals("no-such-run", failure(host.run("nothing")).code());
        }
    }

    @Test
    void aConnectionDoesTheSameAndLoadsNothing() {
        try (Host owner = Host.embedded(HOME);
                Host host = Host.connect(HOME)) {
            assertEquals("home-busy", assertThrows(WharfException.class, () -> Host.embedded(HOME)).code());
            Run run = host.submit(recipe("for i in range(1000): print(i)").build()).join();
            assertEquals(1000, lines(Collector.all(run.events(), 3)).size());
            assertTrue(run.outcome().join().succeeded());
            assertEquals(owner.runs(1).join().get(0), host.runs(1).join().get(0));
            owner.close();
            assertEquals("socket-unreachable", failure(host.hello()).code());
        }
    }

    @Test
    void aRunIsStopped() {
        try (Host host = Host.embedded(HOME)) {
            Run run = host.submit(recipe("import time\nwhile True: print('.', flush=True); time.sleep(0.05)").build()).join();
            Collector<Event> collector = new Collector<>(1, (self, event) -> {
                if ("log".equals(event.kind())) {
                    self.cancel();
                }
            });
            run.events().subscribe(collector);
            collector.done().join();
            run.stop("ana").join();
            assertEquals("stopped", run.outcome().join().cause());
        }
    }

    @Test
    void aRunGoesOnWithoutTheHostAndIsFoundAgain() {
        Run before;
        try (Host host = Host.embedded(HOME)) {
            before = host.submit(recipe("import time\nfor i in range(30): print(i, flush=True); time.sleep(0.1)").build()).join();
            Collector<Event> collector = new Collector<>(1, (self, event) -> {
                if ("log".equals(event.kind())) {
                    self.cancel();
                }
            });
            before.events().subscribe(collector);
            collector.done().join();
            CompletableFuture<Outcome> waiting = before.outcome();
            assertFalse(host.close(Duration.ZERO));
            assertEquals("host-closed", failure(waiting).code());
        }
        try (Host host = Host.embedded(HOME)) {
            Run run = host.run(before.id()).join();
            assertEquals(IntStream.range(0, 30).mapToObj(String::valueOf).toList(), lines(Collector.all(run.events(), 100)));
            assertTrue(run.outcome().join().succeeded());
            assertTrue(host.close((Duration) null));
        }
    }

    @Test
    void everyWrongOrderIsAnError() throws Exception {
        Host host = Host.embedded(HOME);
        Run run = host.run("last").handle((found, error) -> found).join();
        List<Thread> threads = new ArrayList<>();
        ConcurrentLinkedQueue<Throwable> unexpected = new ConcurrentLinkedQueue<>();
        for (int i = 0; i < 8; i++) {
            Thread thread = new Thread(() -> {
                for (int call = 0; call < 200; call++) {
                    CompletableFuture<?> answer = call % 2 == 0 ? host.hello() : host.runs(5);
                    try {
                        answer.join();
                    } catch (CompletionException error) {
                        if (!(error.getCause() instanceof WharfException fault) || !fault.code().equals("host-closed")) {
                            unexpected.add(error);
                        }
                    }
                }
            });
            threads.add(thread);
            thread.start();
        }
        Thread.sleep(20);
        for (int i = 0; i < 3; i++) {
            Thread closing = new Thread(host::close);
            threads.add(closing);
            closing.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), List.copyOf(unexpected));
        host.close();
        assertEquals("host-closed", failure(host.hello()).code());
        if (run != null) {
            assertEquals("host-closed", failure(run.outcome()).code());
            assertThrows(WharfException.class, () -> Collector.all(run.events(), 1));
        }
        Host.embedded(HOME).close();
    }

    @Test
    void twoHomesAreTwoHosts() {
        Path other = Path.of(System.getProperty("wharf.test.other-home"));
        try (Host one = Host.embedded(HOME);
                Host two = Host.embedded(other)) {
            String first = one.hello().join().get("host").getAsString();
            assertFalse(first.equals(two.hello().join().get("host").getAsString()));
            two.close();
            assertEquals(first, one.hello().join().get("host").getAsString());
        }
    }

    @Test
    void aBadMessageIsAFault() {
        try (Host host = Host.embedded(HOME)) {
            JsonObject request = Json.request("no-such-message");
            WharfException fault = assertThrows(WharfException.class, () -> Collector.<JsonElement>all(host.call(request), 1));
            assertEquals("usage", fault.code());
            assertEquals("config-not-found", failure(host.submit(recipe("").configuration("nowhere").build())).code());
        }
        WharfException fault = assertThrows(WharfException.class, () -> Host.embedded(HOME.resolve("nothing")));
        assertEquals("home-not-found", fault.code());
        fault = assertThrows(WharfException.class, () -> Host.embedded(HOME, HostOptions.defaults().withThreads(0)));
        assertTrue(fault.getMessage().contains("`threads` is 0"), fault.getMessage());
    }

    @Test
    void theLogComesLineByLine() {
        ConcurrentLinkedQueue<String> log = new ConcurrentLinkedQueue<>();
        try (Host host = Host.embedded(HOME, HostOptions.defaults().withLog("trace", log::add))) {
            host.hello().join();
        }
        assertFalse(log.isEmpty());
        log.forEach(line -> assertTrue(Json.parse(line).getAsJsonObject().has("level"), line));
    }

    /** The JVM has its own use of the signals by which traps and null pointers are found: neither may take the other's. */
    @Test
    void trapsNullPointersAndCollectionsLiveTogether() throws Exception {
        AtomicInteger refused = new AtomicInteger();
        AtomicInteger nulls = new AtomicInteger();
        try (Host host = Host.embedded(HOME)) {
            Activity trapping = recipe("").configuration("traps").build();
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                Thread explaining = new Thread(() -> {
                    for (int call = 0; call < 50; call++) {
                        JsonObject explained = host.explain(trapping).join();
                        if (explained.get("outcome").getAsJsonObject().get("cause").getAsString().equals("refused")) {
                            refused.incrementAndGet();
                        }
                    }
                });
                Thread failing = new Thread(() -> {
                    for (int call = 0; call < 200_000; call++) {
                        try {
                            refusing(call).length();
                        } catch (NullPointerException expected) {
                            nulls.incrementAndGet();
                        }
                        if (call % 20_000 == 0) {
                            System.gc();
                        }
                    }
                });
                threads.add(explaining);
                threads.add(failing);
            }
            threads.forEach(Thread::start);
            for (Thread thread : threads) {
                thread.join();
            }
        }
        assertEquals(200, refused.get());
        assertEquals(800_000, nulls.get());
    }

    private static String refusing(int call) {
        return call < 0 ? "never" : null;
    }
}
