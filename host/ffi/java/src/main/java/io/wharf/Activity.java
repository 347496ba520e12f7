package io.wharf;

import com.google.gson.JsonObject;
import com.google.gson.annotations.SerializedName;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What is asked for: what kind of work, by whom, under which execution configuration, on which data.
 *
 * <p>{@link #builder}, {@link #python}, {@link #r} and {@link #plugin} make one. What is null is left to the home's defaults.
 *
 * @param kind what kind of work
 * @param requester who asks
 * @param project the project it belongs to
 * @param configuration the execution configuration; without one, the project's default, else the site's
 * @param codeEnv the code environment; without one, the base image's own packages
 * @param code the code of a Python or R recipe
 * @param codeName the name of the code's file, for tracebacks
 * @param plugin the plugin whose recipe it is
 * @param recipe which of the plugin's recipes
 * @param parameters the parameters of a recipe; a secret is an object with the one key {@code secret}
 * @param inputs what it reads
 * @param outputs what it writes
 * @param resources by Docker's names ({@code memory}, {@code cpus}), instead of the configuration's
 * @param timeLimit after how many seconds it is ended
 * @param variables the project's variables
 * @param secrets variables of its environment, and the names of the secrets that they get
 * @param labels for the record and for the engine's object
 */
public record Activity(
        Kind kind,
        Identity requester,
        String project,
        String configuration,
        @SerializedName("code_env") String codeEnv,
        String code,
        @SerializedName("code_name") String codeName,
        String plugin,
        String recipe,
        JsonObject parameters,
        List<Binding> inputs,
        List<Binding> outputs,
        Map<String, String> resources,
        @SerializedName("time_limit") Long timeLimit,
        Map<String, String> variables,
        Map<String, String> secrets,
        Map<String, String> labels) {

    /** What kind of work an activity is. */
    public enum Kind {
        /** A Python recipe. */
        @SerializedName("python")
        PYTHON,
        /** An R recipe. */
        @SerializedName("r")
        R,
        /** A recipe that a plugin provides. */
        @SerializedName("plugin")
        PLUGIN,
        /** Initial training of an in-memory model. */
        @SerializedName("ml-train")
        ML_TRAIN,
        /** Retraining of an in-memory model. */
        @SerializedName("ml-retrain")
        ML_RETRAIN,
        /** Scoring with an in-memory model. */
        @SerializedName("ml-score")
        ML_SCORE,
        /** A trivial run that tests a configuration. */
        @SerializedName("test")
        TEST
    }

    /**
     * Begins an activity.
     *
     * @param kind what kind of work
     * @return a builder
     */
    public static Builder builder(Kind kind) {
        return new Builder(kind);
    }

    /**
     * Begins a Python recipe.
     *
     * @param code its code
     * @return a builder
     */
    public static Builder python(String code) {
        return builder(Kind.PYTHON).code(code);
    }

    /**
     * Begins an R recipe.
     *
     * @param code its code
     * @return a builder
     */
    public static Builder r(String code) {
        return builder(Kind.R).code(code);
    }

    /**
     * Begins a recipe of a plugin.
     *
     * @param plugin the plugin
     * @param recipe its recipe
     * @return a builder
     */
    public static Builder plugin(String plugin, String recipe) {
        Builder builder = builder(Kind.PLUGIN);
        builder.plugin = plugin;
        builder.recipe = recipe;
        return builder;
    }

    /** Collects what an activity is made of. Not for several threads at once. */
    public static final class Builder {
        private final Kind kind;
        private String user;
        private final List<String> groups = new ArrayList<>();
        private String project;
        private String configuration;
        private String codeEnv;
        private String code;
        private String codeName;
        private String plugin;
        private String recipe;
        private JsonObject parameters = new JsonObject();
        private final List<Binding> inputs = new ArrayList<>();
        private final List<Binding> outputs = new ArrayList<>();
        private final Map<String, String> resources = new LinkedHashMap<>();
        private Long timeLimit;
        private final Map<String, String> variables = new LinkedHashMap<>();
        private final Map<String, String> secrets = new LinkedHashMap<>();
        private final Map<String, String> labels = new LinkedHashMap<>();

        private Builder(Kind kind) {
            this.kind = kind;
        }

        /**
         * Who asks.
         *
         * @param user the login
         * @return this
         */
        public Builder user(String user) {
            this.user = user;
            return this;
        }

        /**
         * A group that the user is in.
         *
         * @param group its name
         * @return this
         */
        public Builder group(String group) {
            groups.add(group);
            return this;
        }

        /**
         * The project that it belongs to.
         *
         * @param project its key
         * @return this
         */
        public Builder project(String project) {
            this.project = project;
            return this;
        }

        /**
         * The execution configuration.
         *
         * @param configuration its name
         * @return this
         */
        public Builder configuration(String configuration) {
            this.configuration = configuration;
            return this;
        }

        /**
         * The code environment.
         *
         * @param codeEnv its name
         * @return this
         */
        public Builder codeEnv(String codeEnv) {
            this.codeEnv = codeEnv;
            return this;
        }

        /**
         * The code of a Python or R recipe.
         *
         * @param code the text
         * @return this
         */
        public Builder code(String code) {
            this.code = code;
            return this;
        }

        /**
         * The name of the code's file, for tracebacks.
         *
         * @param codeName such as {@code recipe.py}
         * @return this
         */
        public Builder codeName(String codeName) {
            this.codeName = codeName;
            return this;
        }

        /**
         * The parameters of the recipe.
         *
         * @param parameters an object; a secret is {@code {"secret": "NAME"}}
         * @return this
         */
        public Builder parameters(JsonObject parameters) {
            this.parameters = parameters;
            return this;
        }

        /**
         * Something that it reads.
         *
         * @param input a dataset or a folder
         * @return this
         */
        public Builder input(Binding input) {
            inputs.add(input);
            return this;
        }

        /**
         * Something that it writes.
         *
         * @param output a dataset or a folder
         * @return this
         */
        public Builder output(Binding output) {
            outputs.add(output);
            return this;
        }

        /**
         * A resource instead of the configuration's.
         *
         * @param key as Docker spells it: {@code memory}, {@code cpus}
         * @param value such as {@code 4g}
         * @return this
         */
        public Builder resource(String key, String value) {
            resources.put(key, value);
            return this;
        }

        /**
         * The time after which it is ended.
         *
         * @param seconds how long
         * @return this
         */
        public Builder timeLimit(long seconds) {
            timeLimit = seconds;
            return this;
        }

        /**
         * A variable of the project.
         *
         * @param name its name
         * @param value its value
         * @return this
         */
        public Builder variable(String name, String value) {
            variables.put(name, value);
            return this;
        }

        /**
         * A secret that it needs.
         *
         * @param variable the variable of the environment that gets it
         * @param name the secret's name, never its value
         * @return this
         */
        public Builder secret(String variable, String name) {
            secrets.put(variable, name);
            return this;
        }

        /**
         * A label of the run.
         *
         * @param key its name
         * @param value its value
         * @return this
         */
        public Builder label(String key, String value) {
            labels.put(key, value);
            return this;
        }

        /**
         * Makes the activity.
         *
         * @return it
         * @throws IllegalStateException if nobody said who asks
         */
        public Activity build() {
            if (user == null) {
                throw new IllegalStateException("an activity needs a user: who asks");
            }
            return new Activity(
                    kind,
                    new Identity(user, List.copyOf(groups)),
                    project,
                    configuration,
                    codeEnv,
                    code,
                    codeName,
                    plugin,
                    recipe,
                    parameters,
                    List.copyOf(inputs),
                    List.copyOf(outputs),
                    Map.copyOf(resources),
                    timeLimit,
                    Map.copyOf(variables),
                    Map.copyOf(secrets),
                    Map.copyOf(labels));
        }
    }
}
