package io.wharf;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;

/** Finds the library and the way into it. */
final class NativeLibraries {
    private static NativeLibrary loaded;

    private NativeLibraries() {}

    /** The library, loaded once. */
    static synchronized NativeLibrary load() {
        if (loaded == null) {
            Path file = file();
            NativeLibrary library = open(file);
            if (library.abiVersion() != NativeLibrary.ABI_VERSION) {
                throw unavailable(
                        file + " has the interface " + library.abiVersion() + ", and this package needs " + NativeLibrary.ABI_VERSION,
                        "use library and package of one version");
            }
            loaded = library;
        }
        return loaded;
    }

    /** The property io.wharf.native chooses: ffm (Java 22 and later) or jna. Without it, the first that is there. */
    private static NativeLibrary open(Path file) {
        String way = System.getProperty("io.wharf.native", Runtime.version().feature() >= 22 ? "ffm" : "jna");
        String name =
                switch (way) {
                    case "ffm" -> "io.wharf.FfmLibrary";
                    case "jna" -> "io.wharf.JnaLibrary";
                    default -> throw unavailable("the property io.wharf.native is " + way, "say ffm or jna");
                };
        try {
            return (NativeLibrary) Class.forName(name).getDeclaredConstructor(Path.class).newInstance(file);
        } catch (ReflectiveOperationException | LinkageError error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            throw unavailable(
                    file + " can't be loaded by way of " + way + ": " + cause,
                    way.equals("jna")
                            ? "put net.java.dev.jna:jna on the class path, or use Java 22 or later, or Host.connect"
                            : "use Java 22 or later and the jar itself, not its unpacked classes; or -Dio.wharf.native=jna, or Host.connect");
        }
    }

    /** The property io.wharf.library, else what this jar has for this machine. */
    private static Path file() {
        String property = System.getProperty("io.wharf.library");
        if (property != null) {
            return Path.of(property);
        }
        String machine = System.getProperty("os.name").toLowerCase(Locale.ROOT) + "-" + System.getProperty("os.arch");
        String resource = "/io/wharf/" + machine + "/libwharf_ffi.so";
        try (InputStream in = NativeLibraries.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw unavailable(
                        "this jar has no library for " + machine, "name one: -Dio.wharf.library=FILE; or use Host.connect");
            }
            Path file = Files.createTempFile("libwharf_ffi-", ".so");
            file.toFile().deleteOnExit();
            Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
            return file;
        } catch (IOException error) {
            throw unavailable("the library can't be unpacked: " + error, "make room in java.io.tmpdir, or name one: -Dio.wharf.library=FILE");
        }
    }

    private static WharfException unavailable(String message, String hint) {
        return new WharfException("library-unavailable", message, hint);
    }
}
