package io.wharf;

import com.google.gson.annotations.SerializedName;
import java.nio.file.Path;

/**
 * A name that a recipe uses, and what it stands for.
 *
 * @param name the name in the recipe
 * @param role the role it plays in a plugin's recipe or in machine learning; {@code main} for others
 * @param kind dataset or folder
 * @param place where its data is
 */
public record Binding(String name, String role, Kind kind, Place place) {
    /** What it is. */
    public enum Kind {
        /** Rows with a schema. */
        @SerializedName("dataset")
        DATASET,
        /** Files. */
        @SerializedName("folder")
        FOLDER
    }

    /**
     * Where data is.
     *
     * @param path an absolute path of the host's machine: a .csv or .parquet file for a dataset, a directory for a folder; or what
     *     the embedder's {@link DatasetStore} makes of it
     */
    public record Place(String path) {}

    /**
     * A dataset.
     *
     * @param name the name in the recipe
     * @param path its file
     * @return the binding, in the role {@code main}
     */
    public static Binding dataset(String name, Path path) {
        return new Binding(name, "main", Kind.DATASET, new Place(path.toAbsolutePath().toString()));
    }

    /**
     * A dataset of the embedder's own store.
     *
     * @param name the name in the recipe
     * @param place what the {@link DatasetStore} finds it by, such as the name of a table
     * @return the binding, in the role {@code main}
     */
    public static Binding dataset(String name, String place) {
        return new Binding(name, "main", Kind.DATASET, new Place(place));
    }

    /**
     * A managed folder.
     *
     * @param name the name in the recipe
     * @param path its directory
     * @return the binding, in the role {@code main}
     */
    public static Binding folder(String name, Path path) {
        return new Binding(name, "main", Kind.FOLDER, new Place(path.toAbsolutePath().toString()));
    }

    /**
     * The same in another role.
     *
     * @param role the role's name
     * @return a copy
     */
    public Binding as(String role) {
        return new Binding(name, role, kind, place);
    }
}
