package io.wharf;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Where datasets and folders are, when they aren't files: given to {@link HostOptions#withDatasets}.
 *
 * <p>A run goes through a store in phases. Before it begins, {@link #check} is called for each of its datasets and folders. While it
 * runs, its inputs are read, and its outputs are <em>staged</em> under the run's token: nobody but the run sees them. At the end either
 * {@link #commit} puts all of them in place or {@link #abort} throws them away.
 *
 * <p>The process may be killed between any two steps. What was staged must still be found by its token in the next one; {@link
 * #commit} and {@link #abort} may come again.
 *
 * <p>Methods are called on threads of the package's, for different runs and datasets at the same time, and may take as long as they
 * need. Whatever one throws fails what was asked; {@link DatasetException} says why in words that reach the person who started the run.
 *
 * <p>Rows cross as CSV: {@link CsvRows}.
 */
public interface DatasetStore {
    /** What a run will do with a dataset or a folder. */
    enum Access {
        /** It is an input. */
        READ,
        /** It is an output. */
        WRITE
    }

    /** How far a token's outputs are. */
    enum Status {
        /** Nothing was staged, or it was aborted, or forgotten. */
        UNKNOWN,
        /** Something is staged, nothing is in place. */
        STAGED,
        /** A commit has begun and not ended: it comes again. */
        COMMITTING,
        /** All is in place. */
        COMMITTED
    }

    /**
     * What all outputs of one attempt of a run are committed under.
     *
     * @param run the run's id
     * @param attempt counts from 1
     */
    record Token(String run, int attempt) {}

    /**
     * The columns of a dataset, in order.
     *
     * @param columns the columns
     */
    record Schema(List<Column> columns) {}

    /**
     * A column.
     *
     * @param name any text
     * @param type {@code string}, {@code tinyint}, {@code smallint}, {@code int}, {@code bigint}, {@code float}, {@code double}, {@code
     *     boolean}, {@code date}, {@code array}, {@code map}, {@code object}, {@code geopoint} or {@code geometry}
     */
    record Column(String name, String type) {}

    /**
     * A file of a folder.
     *
     * @param path with {@code /} between its elements and none in front
     * @param size in bytes
     * @param modified in milliseconds since 1970
     */
    record FileInfo(String path, long size, long modified) {}

    /**
     * What a commit put in place.
     *
     * @param bindings the names of the bindings that were written
     * @param changes how many changes that were
     */
    record Committed(List<String> bindings, long changes) {}

    /**
     * Says, before a run begins, whether it can use a dataset or a folder.
     *
     * @param binding which
     * @param access as an input or an output
     * @throws Exception it can't
     */
    default void check(Binding binding, Access access) throws Exception {}

    /**
     * The columns of the data in place.
     *
     * @param binding the dataset
     * @return its schema; equal data gives equal ones
     * @throws Exception there is no data
     */
    Schema schema(Binding binding) throws Exception;

    /**
     * Writes all rows as CSV: those that the token staged, else those in place.
     *
     * @param binding the dataset
     * @param token whose rows; null for those in place
     * @param csv where they go: it waits for containers that read slowly, and throws when nobody wants more
     * @throws Exception there is no data
     */
    void read(Binding binding, Token token, OutputStream csv) throws Exception;

    /**
     * The columns of what a token staged.
     *
     * @param token whose
     * @param binding the dataset
     * @return empty if it staged nothing of this dataset
     * @throws Exception the store can't tell
     */
    Optional<Schema> stagedSchema(Token token, Binding binding) throws Exception;

    /**
     * Stages rows, in place of those that the token staged before.
     *
     * @param token whose
     * @param binding the dataset
     * @param schema the rows' columns
     * @param csv the rows, with a header line; throws when the run breaks off, and then nothing of them may stay
     * @param limit how many bytes the token may have staged
     * @return how many rows
     * @throws Exception they can't be kept
     */
    long stage(Token token, Binding binding, Schema schema, InputStream csv, OptionalLong limit) throws Exception;

    /**
     * Puts all that a token staged in place, or nothing of it. One that did so already answers the same again.
     *
     * @param token whose
     * @return what was written
     * @throws Exception unless {@link #status} says {@link Status#COMMITTING}, nothing is in place
     */
    Committed commit(Token token) throws Exception;

    /**
     * Throws away all that a token staged.
     *
     * @param token whose
     * @throws Exception it is committed
     */
    void abort(Token token) throws Exception;

    /**
     * How far a token's outputs are.
     *
     * @param token whose
     * @return how far
     * @throws Exception the store can't tell
     */
    Status status(Token token) throws Exception;

    /**
     * The outcome of the run is in its record: nobody asks for this token again.
     *
     * @param token whose
     * @throws Exception nothing that matters to the run
     */
    default void forget(Token token) throws Exception {}

    /**
     * The files of a folder, by their paths; with a token as they will be once it is committed.
     *
     * @param binding the folder
     * @param token whose view; null for what is in place
     * @return the files
     * @throws Exception it isn't there
     */
    default List<FileInfo> list(Binding binding, Token token) throws Exception {
        throw noFolders();
    }

    /**
     * Writes a file of a folder.
     *
     * @param binding the folder
     * @param path the file
     * @param token whose view; null for what is in place
     * @param file where it goes
     * @throws Exception it isn't there
     */
    default void readFile(Binding binding, String path, Token token, OutputStream file) throws Exception {
        throw noFolders();
    }

    /**
     * Stages a file of a folder.
     *
     * @param token whose
     * @param binding the folder
     * @param path the file
     * @param file its bytes; throws when the run breaks off
     * @param limit how many bytes the token may have staged
     * @throws Exception it can't be kept
     */
    default void stageFile(Token token, Binding binding, String path, InputStream file, OptionalLong limit) throws Exception {
        throw noFolders();
    }

    /**
     * Stages the removal of a file of a folder.
     *
     * @param token whose
     * @param binding the folder
     * @param path the file
     * @throws Exception there is no such file
     */
    default void stageDelete(Token token, Binding binding, String path) throws Exception {
        throw noFolders();
    }

    private static IOException noFolders() {
        return new DatasetException("unusable", "this store has no folders");
    }
}
