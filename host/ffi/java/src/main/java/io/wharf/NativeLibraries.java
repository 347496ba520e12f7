package io.wharf;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;

/** Finds the library and the way into it. */
final class NativeLibraries {
    private static NativeLibrary loaded;

    private NativeLibraries() {}

    /** The library, loaded once. */
    static synchronized NativeLibrary load() {
        if (loaded == null) {
            String property = System.getProperty("io.wharf.library");
            Path file = property == null ? unpacked() : Path.of(property);
            NativeLibrary library;
            try {
                library = open(file);
            } finally {
                // What is loaded needs its file no longer, and a process that is killed would leave it.
                if (property == null) {
                    remove(file);
                }
            }
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

    /** What this jar has for this machine, in a folder that only this user can read. */
    private static Path unpacked() {
        String machine = System.getProperty("os.name").toLowerCase(Locale.ROOT) + "-" + System.getProperty("os.arch");
        String resource = "/io/wharf/" + machine + "/libwharf_ffi.so";
        Path folder = null;
        try (InputStream in = NativeLibraries.class.getResourceAsStream(resource);
                InputStream sum = NativeLibraries.class.getResourceAsStream(resource + ".sha256")) {
            if (in == null || sum == null) {
                throw unavailable(
                        "this jar has no library for " + machine, "name one: -Dio.wharf.library=FILE; or use Host.connect");
            }
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            folder = Files.createTempDirectory("wharf-");
            Path file = folder.resolve("libwharf_ffi.so");
            Files.copy(new DigestInputStream(in, digest), file);
            String expected = new String(sum.readAllBytes(), StandardCharsets.US_ASCII).strip().split("\\s")[0];
            String found = HexFormat.of().formatHex(digest.digest());
            if (!expected.equals(found)) {
                remove(file);
                throw unavailable("the library in this jar is damaged: its SHA-256 is " + found, "get the jar anew");
            }
            return file;
        } catch (IOException | NoSuchAlgorithmException error) {
            if (folder != null) {
                remove(folder.resolve("libwharf_ffi.so"));
            }
            throw unavailable("the library can't be unpacked: " + error, "make room in java.io.tmpdir, or name one: -Dio.wharf.library=FILE");
        }
    }

    /** Removes the file and its folder. */
    private static void remove(Path file) {
        try {
            Files.deleteIfExists(file);
            Files.deleteIfExists(file.getParent());
        } catch (IOException left) {
            System.getLogger("io.wharf").log(System.Logger.Level.WARNING, "the unpacked library is left: " + left);
        }
    }

    private static WharfException unavailable(String message, String hint) {
        return new WharfException("library-unavailable", message, hint);
    }
}
