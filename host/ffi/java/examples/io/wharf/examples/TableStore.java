package io.wharf.examples;

import io.wharf.Binding;
import io.wharf.CsvRows;
import io.wharf.DatasetException;
import io.wharf.DatasetStore;
import java.io.InputStream;
import java.io.OutputStream;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/**
 * Datasets in the tables of a database: a binding's place is the name of a table.
 *
 * <p>What a run stages is a table of its own, named for its token, and noted in the table {@code wharf_staged}. A commit renames those in
 * one transaction that also notes the token in {@code wharf_tokens}: whoever is killed before the end of it has changed nothing, and
 * who comes again after it finds that all is done. It is written for SQLite; other databases whose DDL is part of a transaction
 * (PostgreSQL) differ in the types of columns alone.
 */
public final class TableStore implements DatasetStore {
    private static final Map<String, String> TYPES = Map.of(
            "tinyint", "INTEGER", "smallint", "INTEGER", "int", "INTEGER", "bigint", "BIGINT", "float", "REAL", "double", "DOUBLE",
            "boolean", "BOOLEAN", "date", "TIMESTAMP");

    private final String url;

    /**
     * A store over a database.
     *
     * @param url such as {@code jdbc:sqlite:/data/tables.db}
     * @throws SQLException it can't be opened
     */
    public TableStore(String url) throws SQLException {
        this.url = url;
        try (Connection connection = open(); Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS wharf_staged (token TEXT, binding TEXT, target TEXT, staged TEXT, PRIMARY KEY (token, binding))");
            statement.execute("CREATE TABLE IF NOT EXISTS wharf_tokens (token TEXT PRIMARY KEY, bindings TEXT)");
        }
    }

    private Connection open() throws SQLException {
        Connection connection = DriverManager.getConnection(url);
        try (Statement statement = connection.createStatement()) {
            statement.execute("PRAGMA busy_timeout = 60000");
            statement.execute("PRAGMA journal_mode = WAL");
        }
        return connection;
    }

    @Override
    public void check(Binding binding, Access access) throws Exception {
        if (binding.kind() != Binding.Kind.DATASET) {
            throw new DatasetException("unusable", "this store has tables alone");
        }
        if (access == Access.READ) {
            schema(binding);
        }
    }

    @Override
    public Schema schema(Binding binding) throws Exception {
        try (Connection connection = open()) {
            return schemaOf(connection, binding.place().path());
        }
    }

    @Override
    public void read(Binding binding, Token token, OutputStream csv) throws Exception {
        try (Connection connection = open(); Statement statement = connection.createStatement()) {
            String staged = token == null ? null : staged(connection, token, binding);
            String table = staged == null ? binding.place().path() : staged;
            Schema schema = schemaOf(connection, table);
            statement.setFetchSize(1000);
            // One row after the other: nothing here grows with the table.
            try (ResultSet rows = statement.executeQuery("SELECT * FROM " + quoted(table))) {
                CsvRows.Output out = new CsvRows.Output(csv, schema.columns().stream().map(Column::name).toList());
                List<Object> values = new ArrayList<>();
                while (rows.next()) {
                    values.clear();
                    for (int at = 1; at <= schema.columns().size(); at++) {
                        boolean truth = schema.columns().get(at - 1).type().equals("boolean");
                        Object value = rows.getObject(at);
                        values.add(value != null && truth ? (Object) rows.getBoolean(at) : value);
                    }
                    out.row(values);
                }
                out.flush();
            }
        }
    }

    @Override
    public Optional<Schema> stagedSchema(Token token, Binding binding) throws Exception {
        try (Connection connection = open()) {
            String staged = staged(connection, token, binding);
            return staged == null ? Optional.empty() : Optional.of(schemaOf(connection, staged));
        }
    }

    @Override
    public long stage(Token token, Binding binding, Schema schema, InputStream csv, OptionalLong limit) throws Exception {
        String table = "wharf_" + token.run() + "_" + token.attempt() + "_" + binding.name();
        List<Column> columns = schema.columns();
        try (Connection connection = open()) {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.execute("DROP TABLE IF EXISTS " + quoted(table));
                statement.execute(columns.stream().map(column -> quoted(column.name()) + " " + TYPES.getOrDefault(column.type(), "TEXT"))
                        .collect(Collectors.joining(", ", "CREATE TABLE " + quoted(table) + " (", ")")));
            }
            String marks = String.join(", ", Collections.nCopies(columns.size(), "?"));
            long count;
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + quoted(table) + " VALUES (" + marks + ")")) {
                count = CsvRows.read(csv, row -> {
                    for (int at = 0; at < columns.size(); at++) {
                        boolean truth = columns.get(at).type().equals("boolean");
                        String text = row.get(at);
                        insert.setObject(at + 1, text != null && truth ? (Object) text.equals("true") : text);
                    }
                    insert.executeUpdate();
                });
            }
            update(connection, "INSERT OR REPLACE INTO wharf_staged VALUES (?, ?, ?, ?)", token.toString(), binding.name(), binding.place().path(), table);
            // What fails before this, the container's data included, leaves nothing.
            connection.commit();
            return count;
        }
    }

    @Override
    public Committed commit(Token token) throws Exception {
        try (Connection connection = open()) {
            connection.setAutoCommit(false);
            List<String> done = list(connection, "SELECT bindings FROM wharf_tokens WHERE token = ?", token.toString());
            if (!done.isEmpty()) {
                List<String> bindings = done.get(0).isEmpty() ? List.of() : List.of(done.get(0).split("\n"));
                return new Committed(bindings, bindings.size());
            }
            List<String> bindings = list(connection, "SELECT binding FROM wharf_staged WHERE token = ?", token.toString());
            for (String binding : bindings) {
                String target = list(connection, "SELECT target FROM wharf_staged WHERE token = ? AND binding = ?", token.toString(), binding).get(0);
                String staged = list(connection, "SELECT staged FROM wharf_staged WHERE token = ? AND binding = ?", token.toString(), binding).get(0);
                try (Statement statement = connection.createStatement()) {
                    statement.execute("DROP TABLE IF EXISTS " + quoted(target));
                    statement.execute("ALTER TABLE " + quoted(staged) + " RENAME TO " + quoted(target));
                }
            }
            update(connection, "DELETE FROM wharf_staged WHERE token = ?", token.toString());
            update(connection, "INSERT INTO wharf_tokens VALUES (?, ?)", token.toString(), String.join("\n", bindings));
            connection.commit();
            return new Committed(bindings, bindings.size());
        }
    }

    @Override
    public void abort(Token token) throws Exception {
        try (Connection connection = open()) {
            connection.setAutoCommit(false);
            for (String staged : list(connection, "SELECT staged FROM wharf_staged WHERE token = ?", token.toString())) {
                try (Statement statement = connection.createStatement()) {
                    statement.execute("DROP TABLE IF EXISTS " + quoted(staged));
                }
            }
            update(connection, "DELETE FROM wharf_staged WHERE token = ?", token.toString());
            connection.commit();
        }
    }

    @Override
    public Status status(Token token) throws Exception {
        try (Connection connection = open()) {
            if (!list(connection, "SELECT token FROM wharf_tokens WHERE token = ?", token.toString()).isEmpty()) {
                return Status.COMMITTED;
            }
            boolean staged = !list(connection, "SELECT token FROM wharf_staged WHERE token = ?", token.toString()).isEmpty();
            return staged ? Status.STAGED : Status.UNKNOWN;
        }
    }

    @Override
    public void forget(Token token) throws Exception {
        try (Connection connection = open()) {
            update(connection, "DELETE FROM wharf_tokens WHERE token = ?", token.toString());
        }
    }

    private static String staged(Connection connection, Token token, Binding binding) throws SQLException {
        List<String> found = list(connection, "SELECT staged FROM wharf_staged WHERE token = ? AND binding = ?", token.toString(), binding.name());
        return found.isEmpty() ? null : found.get(0);
    }

    /** The types that the table was declared with, as a dataset has them. */
    private static Schema schemaOf(Connection connection, String table) throws Exception {
        List<Column> columns = new ArrayList<>();
        try (PreparedStatement statement = connection.prepareStatement("SELECT name, type FROM pragma_table_info(?)")) {
            set(statement, table);
            try (ResultSet found = statement.executeQuery()) {
                while (found.next()) {
                    String type = switch (found.getString(2)) {
                        case "INTEGER", "BIGINT" -> "bigint";
                        case "REAL", "DOUBLE" -> "double";
                        case "BOOLEAN" -> "boolean";
                        case "TIMESTAMP" -> "date";
                        default -> "string";
                    };
                    columns.add(new Column(found.getString(1), type));
                }
            }
        }
        if (columns.isEmpty()) {
            throw new DatasetException("not-found", "the table " + table);
        }
        return new Schema(columns);
    }

    private static List<String> list(Connection connection, String sql, String... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            set(statement, values);
            List<String> all = new ArrayList<>();
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) {
                    all.add(rows.getString(1));
                }
            }
            return all;
        }
    }

    private static void update(Connection connection, String sql, String... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            set(statement, values);
            statement.executeUpdate();
        }
    }

    private static void set(PreparedStatement statement, String... values) throws SQLException {
        for (int at = 0; at < values.length; at++) {
            statement.setString(at + 1, values[at]);
        }
    }

    private static String quoted(String name) {
        return '"' + name.replace("\"", "\"\"") + '"';
    }
}
