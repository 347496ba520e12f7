package io.wharf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.wharf.examples.TableStore;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Recipes in containers that read and write tables of a database, through a store in this process. */
@Timeout(180)
class DatasetStoreTest {
    private static final Path HOME = Path.of(System.getProperty("wharf.test.home"));
    private static final String DOUBLING =
            """
            import dataiku
            frame = dataiku.Dataset("numbers").get_dataframe()
            frame["twice"] = frame["n"] * 2
            dataiku.Dataset("doubled").write_with_schema(frame)
            """;

    @TempDir
    Path folder;

    private String url;

    @BeforeEach
    void tables() throws Exception {
        url = "jdbc:sqlite:" + folder.resolve("tables.db");
        try (Connection connection = DriverManager.getConnection(url);
                Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE numbers (n BIGINT, word TEXT, even BOOLEAN)");
            statement.execute("WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 20000)"
                    + " INSERT INTO numbers SELECT n, iif(n % 3 = 0, NULL, 'w, \"' || n), n % 2 = 0 FROM up");
        }
    }

    private List<String> rows(String sql) throws Exception {
        List<String> all = new ArrayList<>();
        try (Connection connection = DriverManager.getConnection(url);
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(sql)) {
            while (rows.next()) {
                List<String> row = new ArrayList<>();
                for (int at = 1; at <= rows.getMetaData().getColumnCount(); at++) {
                    row.add(rows.getString(at));
                }
                all.add(String.join("|", row.stream().map(String::valueOf).toList()));
            }
        }
        return all;
    }

    private static Activity recipe(String code) {
        return Activity.python(code)
                .user("ana")
                .group("analysts")
                .configuration("docker-local")
                .input(Binding.dataset("numbers", "numbers"))
                .output(Binding.dataset("doubled", "doubled"))
                .build();
    }

    @Test
    void aRecipeReadsAndWritesTables() throws Exception {
        try (Host host = Host.embedded(HOME, HostOptions.defaults().withDatasets(new TableStore(url)))) {
            Outcome outcome = host.submit(recipe(DOUBLING)).join().outcome().join();
            assertEquals("the recipe succeeded", outcome.sentence());
            assertEquals(List.of("20000|400020000|6666|10000"), rows("SELECT count(*), sum(twice), sum(word IS NULL), sum(even) FROM doubled"));
            assertEquals(List.of("2|w, \"2|1|4"), rows("SELECT n, word, even, twice FROM doubled WHERE n = 2"));
            assertEquals(List.of(), rows("SELECT * FROM wharf_staged"));
            assertTrue(host.close((Duration) null));
        }
    }

    @Test
    void aRecipeThatFailsLeavesNothing() throws Exception {
        try (Host host = Host.embedded(HOME, HostOptions.defaults().withDatasets(new TableStore(url)))) {
            Outcome outcome = host.submit(recipe(DOUBLING + "raise ValueError('no')")).join().outcome().join();
            assertEquals("recipe-failed", outcome.cause());
            assertTrue(host.close((Duration) null));
        }
        assertEquals(List.of("numbers", "wharf_staged", "wharf_tokens"), rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"));
    }

    @Test
    void whatTheStoreSaysReachesWhoAsked() throws Exception {
        class Refusing extends Over {
            Refusing(DatasetStore store) {
                super(store);
            }

            @Override
            public void read(Binding binding, Token token, OutputStream csv) throws Exception {
                throw new DatasetException("unusable", "the warehouse is closed on Sundays");
            }
        }
        try (Host host = Host.embedded(HOME, HostOptions.defaults().withDatasets(new Refusing(new TableStore(url))))) {
            Activity missing = Activity.python("").user("ana").group("analysts").configuration("docker-local")
                    .input(Binding.dataset("nothing", "nothing")).build();
            CompletionException refused = org.junit.jupiter.api.Assertions.assertThrows(CompletionException.class, () -> host.submit(missing).join());
            assertTrue(refused.getMessage().contains("the table nothing does not exist"), refused.getMessage());
            Outcome outcome = host.submit(recipe(DOUBLING)).join().outcome().join();
            assertTrue(outcome.toString().contains("the warehouse is closed on Sundays"), outcome.toString());
            assertTrue(host.close((Duration) null));
        }
    }

    /** A host is given up while a commit is under way: the next one commits again, and the run succeeds once. */
    @Test
    void aCommitThatWasLeftIsCommittedAgain() throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch never = new CountDownLatch(1);
        class Stuck extends Over {
            Stuck(DatasetStore store) {
                super(store);
            }

            @Override
            public Committed commit(Token token) throws Exception {
                reached.countDown();
                never.await();
                return super.commit(token);
            }
        }
        String id;
        try (Host host = Host.embedded(HOME, HostOptions.defaults().withDatasets(new Stuck(new TableStore(url))))) {
            id = host.submit(recipe(DOUBLING)).join().id();
            reached.await();
        }
        assertEquals(List.of("doubled"), rows("SELECT target FROM wharf_staged"));
        try (Host host = Host.embedded(HOME, HostOptions.defaults().withDatasets(new TableStore(url)))) {
            assertEquals("the recipe succeeded", host.run(id).join().outcome().join().sentence());
            assertEquals(List.of("20000"), rows("SELECT count(*) FROM doubled"));
            assertTrue(host.close((Duration) null));
        }
    }

    @Test
    void rowsCross() throws Exception {
        String text = "a,\"b\"\"\"\n1,\n\"\",\"x, \"\"y\"\"\nz\"\n";
        List<List<String>> rows = new ArrayList<>();
        assertEquals(2, CsvRows.read(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)), rows::add));
        assertEquals(List.of(Arrays.asList("1", null), List.of("", "x, \"y\"\nz")), rows);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        CsvRows.Output out = new CsvRows.Output(bytes, List.of("a", "b\""));
        for (List<String> row : rows) {
            out.row(row);
        }
        out.flush();
        assertEquals(text, bytes.toString(StandardCharsets.UTF_8));
    }

    /** Another store, for those that differ from it in one thing. */
    private static class Over implements DatasetStore {
        private final DatasetStore store;

        Over(DatasetStore store) {
            this.store = store;
        }

        @Override
        public void check(Binding binding, Access access) throws Exception {
            store.check(binding, access);
        }

        @Override
        public Schema schema(Binding binding) throws Exception {
            return store.schema(binding);
        }

        @Override
        public void read(Binding binding, Token token, OutputStream csv) throws Exception {
            store.read(binding, token, csv);
        }

        @Override
        public Optional<Schema> stagedSchema(Token token, Binding binding) throws Exception {
            return store.stagedSchema(token, binding);
        }

        @Override
        public long stage(Token token, Binding binding, Schema schema, InputStream csv, OptionalLong limit) throws Exception {
            return store.stage(token, binding, schema, csv, limit);
        }

        @Override
        public Committed commit(Token token) throws Exception {
            return store.commit(token);
        }

        @Override
        public void abort(Token token) throws Exception {
            store.abort(token);
        }

        @Override
        public Status status(Token token) throws Exception {
            return store.status(token);
        }
    }
}
