package io.wharf;

import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * How a host is opened in this process.
 *
 * @param threads how many threads of its own work for it
 * @param logLevel {@code error}, {@code warn}, {@code info}, {@code debug} or {@code trace}
 * @param log gets the library's log, a JSON object a line, from threads of the library's; or null
 * @param dockerConfig a Docker {@code config.json} with logins for registries, or null
 * @param datasets where datasets and folders are, or null: in files
 */
public record HostOptions(int threads, String logLevel, Consumer<String> log, Path dockerConfig, DatasetStore datasets) {
    /**
     * Two threads, no log, no logins beside the home's.
     *
     * @return the defaults
     */
    public static HostOptions defaults() {
        return new HostOptions(2, "warn", null, null, null);
    }

    /**
     * The same with another number of threads.
     *
     * @param threads from 1 to 256
     * @return a copy
     */
    public HostOptions withThreads(int threads) {
        return new HostOptions(threads, logLevel, log, dockerConfig, datasets);
    }

    /**
     * The same with a log.
     *
     * @param level {@code error}, {@code warn}, {@code info}, {@code debug} or {@code trace}
     * @param log gets one JSON object a line, from several threads at once; must not call the host
     * @return a copy
     */
    public HostOptions withLog(String level, Consumer<String> log) {
        return new HostOptions(threads, level, log, dockerConfig, datasets);
    }

    /**
     * The same with logins for registries.
     *
     * @param file a Docker {@code config.json}
     * @return a copy
     */
    public HostOptions withDockerConfig(Path file) {
        return new HostOptions(threads, logLevel, log, file, datasets);
    }

    /**
     * The same with a store of the embedder's own for datasets and folders.
     *
     * @param datasets asked for all that concerns data, until the host is closed
     * @return a copy
     */
    public HostOptions withDatasets(DatasetStore datasets) {
        return new HostOptions(threads, logLevel, log, dockerConfig, datasets);
    }
}
