//! Arguments as they are typed. What they mean is in [`crate::resolved`].

mod component_new;
mod doctor;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wharf::settings::TimeSpan;

pub(crate) use component_new::ComponentNewArguments;
pub(crate) use doctor::DoctorArguments;

use crate::exit_code;

/// Runs data-processing activities in containers, judged by WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, after_help = exit_code::help(), subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Arguments that every command takes.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    /// The home: the folder with wharf.toml. The variable WHARF_HOME says the same.
    ///
    /// Without either, the nearest folder that has a wharf.toml: the current one or one above it, else ~/.wharf.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Write JSON on standard output, and nothing else there.
    ///
    /// One document; for `run`, `config test`, `logs`, `base build` and `env build` one event a line. An error is a document with the
    /// single key `fault`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more, on standard error. RUST_LOG chooses in detail.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a home.
    Init(InitArguments),
    /// Run a recipe in a container and wait for its end.
    ///
    /// Ctrl-C stops the run, waits until its container is gone, and leaves nothing behind.
    Run(RunArguments),
    /// Show what would happen to an activity, or what happened to a run.
    ///
    /// Nothing is created. The exit code is the one that a run would have if it ended before its container was made.
    Explain(ExplainArguments),
    /// List, check and test execution configurations.
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// List and build base images.
    #[command(subcommand, arg_required_else_help = true)]
    Base(BaseCommand),
    /// List and build code environments.
    #[command(subcommand, arg_required_else_help = true)]
    Env(EnvCommand),
    /// List, compare and remove the images that wharf made.
    #[command(subcommand, arg_required_else_help = true)]
    Image(ImageCommand),
    /// List, install and remove plugins, whose recipes activities name.
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(PluginCommand),
    /// Make, list, check, install, upgrade and remove components.
    #[command(subcommand, arg_required_else_help = true)]
    Component(ComponentCommand),
    /// Try policies and permission components on runs of the past.
    #[command(subcommand, arg_required_else_help = true)]
    Policy(PolicyCommand),
    /// List the newest runs.
    Runs(RunsArguments),
    /// Show the log of a run.
    Logs(LogsArguments),
    /// Stop a run and wait until it has ended.
    Stop(StopArguments),
    /// Explain an error code. Without one, list them all.
    Error(ErrorArguments),
    /// Check what a Kubernetes cluster lets this host do, and print the rights that it needs.
    #[command(subcommand, arg_required_else_help = true)]
    Cluster(ClusterCommand),
    /// Look for whatever can be wrong with the home, its engines, and the machine.
    Doctor(DoctorArguments),
    /// Print a generated part of the documentation.
    #[command(hide = true, subcommand)]
    Docs(DocsCommand),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Fill the home for trying things: a configuration, a base image, policies and two activities.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Make the demo's base image from this one, which the daemon has or pulls.
    #[arg(long, value_name = "IMAGE", requires = "demo", conflicts_with = "bootstrap")]
    pub(crate) from: Option<String>,
    /// Make the demo's base image from Debian's packages, without any registry.
    #[arg(long, requires = "demo")]
    pub(crate) bootstrap: bool,
    /// A certificate (PEM) that the demo's base image must trust. Can be repeated.
    #[arg(long, value_name = "FILE", requires = "demo")]
    pub(crate) extra_ca: Vec<PathBuf>,
    /// The Docker daemon of the demo's configuration.
    #[arg(long, value_name = "URL", requires = "demo")]
    pub(crate) docker_host: Option<String>,
    /// Add a configuration for a Kubernetes cluster, `k8s-local`: the kubeconfig.
    #[arg(long, value_name = "FILE", requires = "demo")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Its current one when not said; alone, that of the user's own kubeconfig.
    #[arg(long, value_name = "CONTEXT", requires = "demo")]
    pub(crate) context: Option<String>,
    /// The namespace on that cluster.
    #[arg(long, value_name = "NAMESPACE", requires = "demo", default_value = "wharf-runs")]
    pub(crate) namespace: String,
    /// The registry that this host pushes to and that the cluster's nodes pull from.
    #[arg(long, value_name = "REGISTRY", requires = "demo", default_value = "localhost:5000")]
    pub(crate) registry: String,
    /// The address of this host that the cluster's pods reach. Without it, the host comes to them through the API server.
    #[arg(long, value_name = "ADDRESS", requires = "demo")]
    pub(crate) advertise: Option<String>,
}

/// What to run, for whom. Flags go before what the file says.
#[derive(Debug, Default, Args)]
pub(crate) struct ActivityArguments {
    /// The execution configuration. Without one, the project's default, else the site's.
    #[arg(long, value_name = "NAME")]
    pub(crate) config: Option<String>,
    /// The code environment. Without one, the base image's own packages.
    #[arg(long, value_name = "NAME")]
    pub(crate) code_env: Option<String>,
    /// Run this Python file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["r", "plugin", "ml"])]
    pub(crate) python: Option<PathBuf>,
    /// Run this R file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plugin", "ml"])]
    pub(crate) r: Option<PathBuf>,
    /// Run a recipe of this plugin.
    #[arg(long, value_name = "PLUGIN", requires = "recipe", conflicts_with = "ml")]
    pub(crate) plugin: Option<String>,
    /// Which recipe of the plugin.
    #[arg(long, value_name = "NAME", requires = "plugin")]
    pub(crate) recipe: Option<String>,
    /// Train, retrain or score an in-memory model.
    #[arg(long, value_name = "WORK")]
    pub(crate) ml: Option<MlWork>,
    /// The task of machine learning: a TOML or JSON file. `--param` goes before what is in it.
    #[arg(long, value_name = "FILE", requires = "ml", conflicts_with = "params")]
    pub(crate) task: Option<PathBuf>,
    /// A parameter of the recipe: a text, or JSON where the recipe takes more than a text. A secret is given as
    /// NAME={"secret":"SECRET"}. Can be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// A file with the recipe's parameters, a JSON object. `--param` goes before it.
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<PathBuf>,
    /// What the recipe reads: a .csv or .parquet file, or a folder if the path ends in /. Can be repeated.
    ///
    /// For a plugin's recipe and for machine learning the name is that of a role, and the dataset has the name of its file; `ROLE:NAME=PATH` gives another.
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) input: Vec<String>,
    /// What the recipe writes: a .csv or .parquet file, or a folder if the path ends in /. Can be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) output: Vec<String>,
    /// Who asks. Without it, the login name.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// A group that the user is in. Can be repeated.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<String>,
    /// A resource, by Docker's name, instead of the configuration's: memory=4g, cpus=2. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) resource: Vec<String>,
    /// End the run after this time: 90s, 30m, 2h. The configuration may allow less.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<TimeSpan>,
    /// Of several runs that wait for room, the one of the highest priority is first; the configuration says how high it may be.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// The project that the activity belongs to.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// A variable of the project, as dataiku.get_custom_variables() gives it. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) variable: Vec<String>,
    /// A secret that the recipe gets in a variable: the secret's name, never its value. Can be repeated.
    #[arg(long, value_name = "VARIABLE=NAME")]
    pub(crate) secret: Vec<String>,
    /// A label of the run. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
}

/// What is done with an in-memory model.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MlWork {
    /// Dataset `main` in, folder `model` out.
    Train,
    /// Dataset `main` and folder `model` in, folder `model` out.
    Retrain,
    /// Dataset `main` and folder `model` in, dataset `main` out.
    Score,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// An activity file (TOML). Without one, --python or --r says what to run.
    #[arg(value_name = "ACTIVITY")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) activity: ActivityArguments,
    /// Submit it once: with the same key, the same activity of the same user is found again and not run again.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// An activity file (TOML), or a run: its id, the beginning of it, or `last`.
    #[arg(value_name = "ACTIVITY|RUN")]
    pub(crate) target: Option<String>,
    /// Of a run: one field of its plan (memory, resources.cpus, labels.team), what it was, and who changed it and why.
    #[arg(value_name = "FIELD", requires = "target")]
    pub(crate) field: Option<String>,
    #[command(flatten)]
    pub(crate) activity: ActivityArguments,
}

/// What to do with execution configurations.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List the execution configurations.
    List,
    /// Check the files of the home, or one execution configuration and its base image.
    Check {
        /// The execution configuration. Without it, every file of the home.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Run something trivial under an execution configuration: permission, image, way back.
    Test {
        /// The execution configuration.
        #[arg(value_name = "NAME")]
        name: String,
        /// Who asks. Without it, the login name.
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// A group that the user is in. Can be repeated. Without any, the groups that the configuration allows.
        #[arg(long, value_name = "GROUP")]
        group: Vec<String>,
    },
}

/// What to do with clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Check the API server, every right, the nodes and their GPUs; and from inside of a pod the registry and the way back.
    Check {
        /// The execution configuration: it names the context, the namespace and the registry.
        #[arg(value_name = "CONFIGURATION")]
        name: String,
        /// Run no pod, and build no image for it.
        #[arg(long)]
        no_pod: bool,
    },
    /// Print the least rights that a configuration needs, as manifests for `kubectl apply -f -`.
    Role {
        /// The execution configuration.
        #[arg(value_name = "CONFIGURATION")]
        name: String,
        /// The service account that gets them.
        #[arg(long, value_name = "NAME", default_value = "wharf")]
        service_account: String,
        /// Its namespace. Without it, that of the runs.
        #[arg(long, value_name = "NAMESPACE")]
        service_account_namespace: Option<String>,
    },
}

/// What to do with base images.
#[derive(Debug, Subcommand)]
pub(crate) enum BaseCommand {
    /// Build a base image where its configurations run, unless it is there.
    Build {
        /// The base image.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the base images.
    List,
}

/// What to do with code environments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Build a code environment for all configurations that may use it, unless it is there.
    ///
    /// Where a configuration has a registry, the images are there afterwards.
    Build {
        /// The code environment.
        #[arg(value_name = "NAME", required_unless_present = "all")]
        name: Option<String>,
        /// All of them, and the base images of all configurations: nothing is left to build in the morning.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// List the code environments.
    List,
}

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List the images that wharf made, on the engines of all configurations.
    List,
    /// Show what changed between two images, line by line.
    Why {
        /// A base image, a code environment, or the first digits of a content key.
        #[arg(value_name = "NAME|KEY")]
        name: String,
        /// The first digits of the content key of the one before. Without it, the one that was made before.
        #[arg(value_name = "KEY")]
        with: Option<String>,
    },
    /// Remove images that nobody needs from the engines of all configurations.
    ///
    /// What a run uses, what a configuration needs now, and what this home never used stays.
    Prune {
        /// Only those that weren't used for so long: 12h, 30d.
        #[arg(long, value_name = "TIME", default_value = "30d")]
        older_than: TimeSpan,
        /// Of each base image and code environment, so many of the newest stay.
        #[arg(long, value_name = "NUMBER", default_value_t = 3)]
        keep: u32,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// In the registries, too: what this home put there. A registry frees the room when it collects its garbage.
        #[arg(long)]
        registries: bool,
    },
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the plugins of the home.
    List,
    /// Show the recipes of a plugin, their roles and parameters, and what is wrong with its files.
    Show {
        /// The plugin.
        #[arg(value_name = "PLUGIN")]
        name: String,
    },
    /// Install a plugin: a copy of its files goes to the folder of the recipe adapter that knows it.
    Install {
        /// A folder or a zip file with a plugin.
        #[arg(value_name = "FOLDER|ZIP")]
        source: PathBuf,
        /// Put it in the place of the one that is there.
        #[arg(long)]
        replace: bool,
    },
    /// Remove a plugin. Runs that have begun go on.
    Remove {
        /// The plugin.
        #[arg(value_name = "PLUGIN")]
        name: String,
    },
}

/// What to do with components.
#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// List the components of the home, and why some aren't loaded.
    List,
    /// Make a project for a component: it builds as it is, and has code, settings and cases to change.
    New(ComponentNewArguments),
    /// Load component files as the host would, and say what is wrong with them. Needs no home.
    Check {
        /// Files that end in .wasm; a .toml of the same name beside one is read, too.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Run the cases of components: what each is asked, and what it must answer. Needs no home and no engine.
    ///
    /// Of cases that don't pass, or with --verbose of all, it shows the difference, the component's log, what it was granted and what it tried.
    #[command(
        after_help = "Exit code: 0 when all cases pass, 1 when one doesn't, 2 for wrong arguments, 3 when a component or its cases aren't there."
    )]
    Test(ComponentTestArguments),
    /// Show what a component's file says: kind, versions, imports and what each lets it do, settings, and how it was made. Needs no home.
    Inspect {
        /// The component's file, or the folder of its project.
        #[arg(value_name = "FILE|DIR")]
        path: PathBuf,
    },
    /// Build a component and run its cases again, whenever a file of its project changes.
    ///
    /// Shows only what changed since the time before. Ctrl-C ends it.
    Dev {
        /// The folder of its project: with a wharf-component.toml, or a Cargo.toml.
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// Only cases whose name contains this.
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Install a component from a file, a URL or a registry.
    ///
    /// It is fetched, checked against [trust], and shown with what it may do, before anybody is asked. The TOML file beside a
    /// component is yours: it is read and never written; what --grant gives is kept in components.lock, for this file alone.
    Install(InstallArguments),
    /// Put another version in a component's place.
    ///
    /// One that imports more than the version in force is held back until that is granted to it; the one before stays in force.
    Upgrade(UpgradeArguments),
    /// Grant something to the file that is in a component's place now, and to no other.
    Grant {
        /// The component.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        grant: GrantArguments,
    },
    /// Go back to the version before.
    Rollback {
        /// The component.
        #[arg(value_name = "NAME")]
        name: String,
        /// The first digits of the digest of another version that is kept. Without it, the newest.
        #[arg(long, value_name = "DIGEST")]
        to: Option<String>,
        /// Don't ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Let a component with `canary = true` in as it is now, whatever came of its trial.
    Release {
        /// The component.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a component and what was granted to it. Its TOML file stays.
    Remove {
        /// The component.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Put a component file into a registry, with the minisign signature beside it.
    Push {
        /// A file that ends in .wasm.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// oci://HOST/NAME:VERSION
        #[arg(value_name = "REFERENCE")]
        reference: String,
    },
}

/// Arguments of `component install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArguments {
    /// A file, an https:// URL, or oci://HOST/NAME:VERSION.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// What it is called here. Without it, what its source calls it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The digest that its file must have: sha256:...
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    #[command(flatten)]
    pub(crate) grant: NewGrantArguments,
}

/// Arguments of `component upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArguments {
    /// The component.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A file, an https:// URL, or oci://HOST/NAME:VERSION. Without it, where the one before came from.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// The digest that its file must have: sha256:...
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    #[command(flatten)]
    pub(crate) grant: NewGrantArguments,
}

/// What a component that comes is granted.
#[derive(Debug, Args)]
pub(crate) struct NewGrantArguments {
    /// What it may use beyond its settings and the log: clock, random, folder=PATH. Can be repeated.
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant: Vec<String>,
    /// Don't ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What a component that is there is granted.
#[derive(Debug, Args)]
pub(crate) struct GrantArguments {
    /// clock, random, folder=PATH
    #[arg(value_name = "GRANT", required = true)]
    pub(crate) grant: Vec<String>,
    /// Don't ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Arguments of `component test`.
#[derive(Debug, Args)]
pub(crate) struct ComponentTestArguments {
    /// Folders of projects, or files that end in .wasm with their cases beside them, in cases/ or NAME.cases/.
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Write what is answered into expected.json, wherever it is something else. Read the difference before you keep it.
    #[arg(long)]
    pub(crate) update: bool,
    /// Write the results as JUnit XML, for a CI system.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Make a case out of a run of the home: what the component was asked then, as it saw it, and what it answered.
    ///
    /// A component that isn't in the home gets what one of its kind was asked.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["filter", "update", "junit"])]
    pub(crate) record: Option<String>,
    /// The folder of the new case. Without it, run-ID among the component's cases.
    #[arg(long, value_name = "DIR", requires = "record")]
    pub(crate) into: Option<PathBuf>,
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Only those that a permission check, a policy or a limit said no to, and why.
    #[arg(long)]
    pub(crate) rejected: bool,
    #[command(flatten)]
    pub(crate) of: RunFilterArguments,
    /// Only those that have come so far.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<StateArgument>,
}

/// Which runs.
#[derive(Debug, Default, Args)]
pub(crate) struct RunFilterArguments {
    /// Only those of this user.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Only those under this execution configuration.
    #[arg(long, value_name = "NAME")]
    pub(crate) config: Option<String>,
    /// Only those that were submitted within this time: 12h, 30d.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<TimeSpan>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StateArgument {
    /// On its way through permission, adapter and policies.
    Preparing,
    /// Waiting for room.
    Queued,
    /// About to be created at the engine.
    Launching,
    /// Its container is there.
    Running,
    /// Its outputs are being put in place.
    Committing,
    /// It has ended.
    Ended,
}

/// What to try on runs of the past.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Ask a component that isn't in use about runs of the past: which it would have refused or changed.
    ///
    /// It gets what the record says that components saw of each run. Nothing is created or changed. A mutating policy is asked
    /// about the plan at the place in the order that it would have; whether other components would have answered its changes
    /// otherwise isn't tried: `what-if` does that. A component that is granted the clock sees today's time.
    Replay {
        /// A policy or a permission component: a file that ends in .wasm.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Its TOML file, instead of the one beside it.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        #[command(flatten)]
        of: RunFilterArguments,
        /// At most so many runs, the newest.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Judge a run of the past again, by all components, with other settings for one of them.
    WhatIf {
        /// The run: its id, the beginning of it, or `last`.
        #[arg(value_name = "RUN")]
        run: String,
        /// A TOML file as it would stand beside the component.
        #[arg(long, value_name = "FILE")]
        settings: PathBuf,
        /// Whose settings. Without it, the component that has the file's name.
        #[arg(long, value_name = "NAME")]
        component: Option<String>,
    },
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// The run: its id, the beginning of it, or `last`.
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: String,
    /// Go on until the run has ended.
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// The run: its id, the beginning of it, or `last`.
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
}

/// Arguments of `error`.
#[derive(Debug, Args)]
pub(crate) struct ErrorArguments {
    /// The code, as error messages show it.
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

/// Which generated part of the documentation.
#[derive(Debug, Subcommand)]
pub(crate) enum DocsCommand {
    /// The reference of this command.
    Cli,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_arguments_go_anywhere() {
        for line in [["wharf", "--json", "runs"], ["wharf", "runs", "--json"]] {
            assert!(Arguments::try_parse_from(line).unwrap().global.json);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "wharf run --python a.py --r b.R",
            "wharf run --python a.py --plugin geo --recipe buffer",
            "wharf run --plugin geo",
            "wharf plugin install",
            "wharf init --from debian",
            "wharf init --demo --from debian --bootstrap",
            "wharf runs --limit 0",
            "wharf runs --state gone",
            "wharf policy replay",
            "wharf policy what-if last",
            "wharf run a.toml --timeout soon",
            "wharf component check",
            "wharf component install",
            "wharf component grant x",
            "wharf component push x.wasm",
            "wharf component test --into a",
            "wharf component test --record last --update",
            "wharf",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
