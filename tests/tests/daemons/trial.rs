//! What most of these tests do: a run that counts aloud and writes outputs, and a look at what came of it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use wharf_model::outcome::LogState;
use wharf_model::{Cause, EventKind};
use wharf_tests::{Far, Finished, Home, Proxy, Watch};

/// Runs a test that must be over after this time: nothing here may hang.
pub(crate) fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let running = thread::Builder::new().name(name).spawn(move || {
        test();
        let _ = sender.send(());
    });
    let running = running.unwrap_or_else(|error| panic!("no thread can be started: {error}"));
    match receiver.recv_timeout(Duration::from_secs(seconds)) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("it takes longer than {seconds} s"),
        Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = running.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// A recipe that doubles the column `n` of `in` into `out`, and writes `line 0`, `line 1` ... with this pause between them.
pub(crate) fn counting(lines: usize, pause: f64) -> String {
    format!(
        "import dataiku, time\n\
         for n in range({lines}):\n    print(f'line {{n}}', flush={pause} > 0)\n    time.sleep({pause}) if {pause} else None\n\
         frame = dataiku.Dataset('in').get_dataframe()\n\
         frame['n'] = frame['n'] * 2\n\
         dataiku.Dataset('out').write_with_schema(frame)\n\
         dataiku.Folder('files').upload_data('a/b.bin', bytes(range(256)) * 1000)\n"
    )
}

/// The input of [`counting`], and its bindings with outputs in this folder.
pub(crate) fn bindings(home: &Home, folder: &str) -> Vec<String> {
    let rows: String = (0..2000).map(|n| format!("{n},text {n}\n")).collect();
    home.write_data("in.csv", format!("n,text\n{rows}"));
    // The folder of a dataset must be there.
    std::fs::create_dir_all(home.data(folder)).unwrap();
    let output = |name: &str, path: &str| ["--output".to_owned(), home.bind(name, &format!("{folder}{path}"))];
    let input = ["--input".to_owned(), home.bind("in", "in.csv")];
    [input, output("out", "out.csv"), output("files", "files/")].concat()
}

/// The arguments that run [`counting`] under this execution configuration.
pub(crate) fn arguments(home: &Home, configuration: &str, lines: usize, pause: f64, folder: &str) -> Vec<String> {
    let bindings = bindings(home, folder);
    let mut more: Vec<&str> = bindings.iter().map(String::as_str).collect();
    more.extend(["--config", configuration]);
    home.python(&counting(lines, pause), &more)
}

/// Checks that a run of [`counting`] succeeded: its whole log, each line once and in order, and its outputs.
pub(crate) fn assert_whole(home: &Home, run: &Finished, lines: usize, folder: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.cause, Cause::Succeeded, "{run}");
    assert_counted(&run.log(), lines);
    assert!(
        matches!(outcome.log, Some(LogState::Complete { lines: counted, .. }) if counted == lines as u64),
        "{:?}",
        outcome.log
    );
    let ends = run.events().iter().filter(|event| matches!(event.kind, EventKind::Ended(_))).count();
    assert_eq!(ends, 1, "{run}");
    let out = home.read_data(&format!("{folder}out.csv"));
    assert_eq!((out.lines().count(), out.lines().last()), (2001, Some("3998,text 1999")));
    let file = std::fs::read(home.data(&format!("{folder}files/a/b.bin"))).unwrap();
    assert!(file == (0..=255).collect::<Vec<u8>>().repeat(1000), "the file has {} bytes", file.len());
}

/// Checks that these are `line 0`, `line 1` ..., numbered without a gap.
pub(crate) fn assert_counted(log: &[(u64, String)], lines: usize) {
    assert_eq!(log.len(), lines, "the last line is {:?}", log.last());
    for (at, (number, text)) in log.iter().enumerate() {
        assert_eq!((*number, text.as_str()), (at as u64, format!("line {at}").as_str()));
    }
}

/// Checks what a daemon tells of a run's container: created, started and removed once each.
pub(crate) fn assert_once(watch: &Watch) {
    let actions = watch.until_gone();
    let count = |action: &str| actions.iter().filter(|other| *other == action).count();
    assert_eq!(["create", "start", "destroy"].map(count), [1, 1, 1], "{actions:?}");
}

/// What [`counting`] leaves beside its input.
pub(crate) const WHOLE: [&str; 6] = ["files/", "files/a/", "files/a/b.bin", "in.csv", "out.csv", "out.csv.schema.json"];

/// An id, which a home has once it was opened, and with it what the daemon tells of its containers.
pub(crate) fn watch(home: &Home) -> Watch {
    let _ = home.call(["runs"]).exits(0);
    home.daemon().watch("wharf.host", &home.id())
}

/// A demo home whose daemon is behind a proxy.
pub(crate) fn behind_proxy() -> (Home, Proxy) {
    let home = Home::portable();
    let proxy = Proxy::unix(home.daemon().socket());
    home.replace("configs/docker-local.toml", &home.daemon().address(), &proxy.address());
    (home, proxy)
}

/// Writes an execution configuration for a daemon at this address: `keys` are lines of the file, `exchange` of its table.
pub(crate) fn configure(home: &Home, name: &str, host: &str, keys: &str, exchange: &str) {
    let text = format!(
        "base_image = \"python-r\"\nhost = \"{host}\"\n{keys}\n[permissions]\nallowed_groups = [\"analysts\"]\n\n\
         [resources]\ncpus = 1\nmemory = \"1g\"\n\n[exchange]\n{exchange}\n"
    );
    home.write(&format!("configs/{name}.toml"), text);
}

/// Configures the far daemon over TLS as `far`, with this in `[exchange]`.
pub(crate) fn configure_far(home: &Home, far: &Far, exchange: &str) {
    far.certificates().write_client(&home.path().join("certs/far"));
    configure(home, "far", &far.tcp_address(), "cert_path = \"certs/far\"", exchange);
}

/// The line of `[exchange]` with which containers of the far daemon find this host.
pub(crate) fn advertise(far: &Far) -> String {
    format!("advertise = \"{}\"", far.machine().near_address())
}
