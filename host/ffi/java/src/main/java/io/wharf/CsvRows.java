package io.wharf;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Reader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Rows as they cross between a host and a {@link DatasetStore}: UTF-8, a header line, commas and double quotes. An empty field is null, and
 * {@code ""} the empty text.
 */
public final class CsvRows {
    private CsvRows() {}

    /** Takes rows, one by one. */
    @FunctionalInterface
    public interface RowSink {
        /**
         * Takes one.
         *
         * @param values one text for each column; null where there is no value
         * @throws Exception it can't be kept
         */
        void row(List<String> values) throws Exception;
    }

    /**
     * Reads rows to their end.
     *
     * @param csv the rows, after a header line
     * @param sink gets each of them
     * @return how many
     * @throws Exception it isn't CSV, breaks off, or the sink throws
     */
    public static long read(InputStream csv, RowSink sink) throws Exception {
        Reader in = new BufferedReader(new InputStreamReader(csv, StandardCharsets.UTF_8), 1 << 16);
        long rows = -1;
        for (List<String> row = record(in); row != null; row = record(in)) {
            if (rows >= 0) {
                sink.row(row);
            }
            rows++;
        }
        return Math.max(0, rows);
    }

    /** The next record; null at the end. */
    private static List<String> record(Reader in) throws IOException {
        int next = in.read();
        if (next < 0) {
            return null;
        }
        List<String> fields = new ArrayList<>();
        StringBuilder field = new StringBuilder();
        boolean quoted = false;
        while (true) {
            if (next == '"' && !quoted && field.length() == 0) {
                quoted = true;
                next = quoted(in, field);
            } else if (next == ',' || next == '\n' || next < 0) {
                fields.add(field.length() == 0 && !quoted ? null : field.toString());
                if (next != ',') {
                    return fields;
                }
                field.setLength(0);
                quoted = false;
                next = in.read();
            } else {
                field.append((char) next);
                next = in.read();
            }
        }
    }

    /** Reads what is in quotes; returns what comes after them. */
    private static int quoted(Reader in, StringBuilder field) throws IOException {
        while (true) {
            int next = in.read();
            if (next < 0) {
                throw new DatasetException("bad-rows", "the last row has no end");
            }
            if (next == '"') {
                next = in.read();
                if (next != '"') {
                    return next;
                }
            }
            field.append((char) next);
        }
    }

    /** Writes rows. Nothing is kept: {@link #flush} passes the last of them on. */
    public static final class Output {
        private final Writer out;

        /**
         * Writes the header line.
         *
         * @param csv where they go
         * @param columns the columns' names
         * @throws IOException nobody wants them
         */
        public Output(OutputStream csv, List<String> columns) throws IOException {
            out = new BufferedWriter(new OutputStreamWriter(csv, StandardCharsets.UTF_8), 1 << 16);
            row(columns);
        }

        /**
         * Writes a row.
         *
         * @param values one for each column: texts, numbers, booleans, null; dates as {@code 2013-01-01T10:00:00Z}
         * @throws IOException nobody wants more
         */
        public void row(List<?> values) throws IOException {
            String between = "";
            for (Object value : values) {
                out.write(between);
                if (value != null) {
                    out.write(text(value.toString()));
                }
                between = ",";
            }
            out.write('\n');
        }

        /**
         * Passes on what was written.
         *
         * @throws IOException nobody wants it
         */
        public void flush() throws IOException {
            out.flush();
        }

        private static String text(String value) {
            boolean plain = !value.isEmpty() && value.chars().noneMatch(c -> c == ',' || c == '"' || c == '\n' || c == '\r');
            return plain ? value : '"' + value.replace("\"", "\"\"") + '"';
        }
    }
}
