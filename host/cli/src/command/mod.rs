//! The commands.

mod base;
mod build;
mod cases;
mod cluster;
mod component;
mod component_new;
mod config;
mod dev;
mod distribution;
mod docs;
mod doctor;
mod env;
mod error;
mod explain;
mod image;
mod init;
mod inspect;
mod logs;
mod plugin;
mod policy;
mod run;
mod runs;
mod stop;

use std::path::Path;

use wharf::message::{BuildTarget, Prune};
use wharf::{Access, HostOptions};

use crate::arguments::{
    Arguments, BaseCommand, ClusterCommand, Command, ComponentCommand, ConfigCommand, DocsCommand, EnvCommand,
    GlobalArguments, ImageCommand, PluginCommand, PolicyCommand,
};
use crate::console::Console;
use crate::failure::Failure;
use crate::resolved;

/// How many events that are there already are shown before standard output is written.
const AT_ONCE: usize = 256;

/// How a command ends: with an exit code, or early.
pub(crate) type Ending = Result<u8, Failure>;

/// Does what the arguments say.
pub(crate) async fn execute(arguments: Arguments, console: &mut Console) -> Ending {
    let Arguments { global, command } = arguments;
    match &command {
        Command::Init(arguments) => init::execute(&global, arguments, console),
        Command::Run(arguments) => run::execute(&global, arguments, console).await,
        Command::Explain(arguments) => explain::execute(&global, arguments, console).await,
        Command::Config(ConfigCommand::List) => config::list(&global, console),
        Command::Config(ConfigCommand::Check { name }) => config::check(&global, name.as_deref(), console),
        Command::Config(ConfigCommand::Test { name, user, group }) => {
            config::test(&global, name, user.as_deref(), group, console).await
        }
        Command::Base(BaseCommand::Build { name }) => {
            build::execute(&global, BuildTarget::Base(name.clone()), console).await
        }
        Command::Base(BaseCommand::List) => base::list(&global, console).await,
        Command::Env(EnvCommand::Build { name, .. }) => {
            let target = name.as_ref().map_or(BuildTarget::All, |name| BuildTarget::CodeEnv(name.clone()));
            build::execute(&global, target, console).await
        }
        Command::Env(EnvCommand::List) => env::list(&global, console).await,
        Command::Image(ImageCommand::List) => image::list(&global, console).await,
        Command::Image(ImageCommand::Why { name, with }) => image::why(&global, name, with.as_deref(), console).await,
        Command::Image(ImageCommand::Prune { older_than, keep, dry_run, registries }) => {
            let (dry_run, registries) = (*dry_run, *registries);
            let prune = Prune { older_than: older_than.seconds(), keep: *keep, dry_run, registries };
            image::prune(&global, prune, console).await
        }
        Command::Plugin(PluginCommand::List) => plugin::list(&global, console).await,
        Command::Plugin(PluginCommand::Show { name }) => plugin::show(&global, name, console).await,
        Command::Plugin(PluginCommand::Install { source, replace }) => {
            plugin::install(&global, source, *replace, console).await
        }
        Command::Plugin(PluginCommand::Remove { name }) => plugin::remove(&global, name, console).await,
        Command::Component(ComponentCommand::List) => component::list(&global, console).await,
        Command::Component(ComponentCommand::New(arguments)) => component_new::execute(arguments, console),
        Command::Component(ComponentCommand::Check { files }) => component::check(files, console),
        Command::Component(ComponentCommand::Install(arguments)) => {
            distribution::install(&global, arguments, console).await
        }
        Command::Component(ComponentCommand::Upgrade(arguments)) => {
            distribution::upgrade(&global, arguments, console).await
        }
        Command::Component(ComponentCommand::Grant { name, grant }) => {
            distribution::grant(&global, name, grant, console).await
        }
        Command::Component(ComponentCommand::Rollback { name, to, yes }) => {
            distribution::rollback(&global, name, to.as_deref(), *yes, console).await
        }
        Command::Component(ComponentCommand::Release { name }) => distribution::release(&global, name, console),
        Command::Component(ComponentCommand::Remove { name }) => distribution::remove(&global, name, console),
        Command::Component(ComponentCommand::Push { file, reference }) => {
            distribution::push(&global, file, reference, console).await
        }
        Command::Component(ComponentCommand::Test(arguments)) => cases::execute(&global, arguments, console).await,
        Command::Component(ComponentCommand::Inspect { path }) => inspect::execute(&global, path, console),
        Command::Component(ComponentCommand::Dev { folder, filter }) => {
            dev::execute(&global, folder, filter.as_deref(), console).await
        }
        Command::Policy(PolicyCommand::Replay { file, settings, of, limit }) => {
            policy::replay(&global, file, settings.as_deref(), of, *limit, console).await
        }
        Command::Policy(PolicyCommand::WhatIf { run, settings, component }) => {
            policy::what_if(&global, run, settings, component.as_deref(), console).await
        }
        Command::Runs(arguments) => runs::execute(&global, arguments, console).await,
        Command::Logs(arguments) => logs::execute(&global, arguments, console).await,
        Command::Stop(arguments) => stop::execute(&global, arguments, console).await,
        Command::Error(arguments) => error::execute(arguments, console),
        Command::Cluster(ClusterCommand::Check { name, no_pod }) => {
            cluster::check(&global, name, !no_pod, console).await
        }
        Command::Cluster(ClusterCommand::Role { name, service_account, service_account_namespace }) => {
            cluster::role(&global, name, service_account, service_account_namespace.as_deref(), console)
        }
        Command::Doctor(arguments) => doctor::execute(&global, arguments, console).await,
        Command::Docs(DocsCommand::Cli) => docs::cli(console),
    }
}

/// Opens the home that the arguments mean.
async fn open(global: &GlobalArguments) -> Result<Access, Failure> {
    let home = resolved::existing_home(global.home.as_deref())?;
    open_at(home.root()).await
}

async fn open_at(home: &Path) -> Result<Access, Failure> {
    let options = HostOptions { docker_config: wharf::docker_config(), ..HostOptions::default() };
    Ok(Access::open(home, options).await?)
}
