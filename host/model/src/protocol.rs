//! What crosses between runner and host: HTTP/2 over one duplex stream with TLS, the runner being the client.
//!
//! The stream is a connection that the runner dials, or one that the host opens through the engine. In both cases the runner
//! accepts one certificate alone, that of the host that started it, before it says anything.
//!
//! Every request carries `authorization: Bearer TICKET`; the ticket names one run and one attempt, and is good for
//! nothing else. Paths:
//!
//! | request | body → answer |
//! | --- | --- |
//! | `GET /v1/ready` | → nothing: the ticket is good. Asked after a new connection, since a new host may not know it yet |
//! | `GET /v1/task` | → [`Task`] as JSON |
//! | `POST /v1/started` | [`Started`] → nothing |
//! | `POST /v1/logs?base=N` | log frames ([`frame`]) → [`LogAck`] as JSON; `N` is the oldest frame that the runner still has |
//! | `POST /v1/heartbeat` | [`Usage`] → [`HeartbeatAck`] |
//! | `POST /v1/progress` | [`Advance`] → nothing |
//! | `GET /v1/datasets/NAME/schema` | → [`Schema`] |
//! | `PUT /v1/datasets/NAME/schema` | [`Schema`] → nothing; outputs only, and before their data |
//! | `GET /v1/datasets/NAME/data?format=csv\|arrow&columns=a,b&limit=N` | → rows; without a limit all |
//! | `PUT /v1/datasets/NAME/data?format=csv\|arrow` | rows → [`Received`]; replaces what the run staged before |
//! | `GET /v1/folders/NAME/files` | → list of [`FileInfo`] |
//! | `GET /v1/folders/NAME/files/PATH` | → bytes |
//! | `PUT /v1/folders/NAME/files/PATH` | bytes → [`Received`] |
//! | `DELETE /v1/folders/NAME/files/PATH` | → nothing |
//! | `POST /v1/result` | [`RunnerResult`] → nothing; the last request |
//!
//! `NAME` and each element of `PATH` are percent-encoded. CSV is UTF-8 with a header line, comma and double quote;
//! an empty unquoted field is null, a quoted one is the empty string. An error is a status and [`Refusal`] as JSON.
//!
//! The recipe speaks to the runner over a Unix socket (`$WHARF_SOCKET`, HTTP/1.1) with the same `/v1/datasets` and
//! `/v1/folders` paths, with `/v1/progress`, and without a ticket; the runner passes them on. `GET /v1/context` there answers [`Context`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::LogSettings;
use crate::secret::SecretValue;

/// The runner's variables, set on the container and removed before the recipe starts.
pub mod variables {
    /// `HOST:PORT` of the exchange, or [`ATTACH`](super::ATTACH) and a name.
    pub const EXCHANGE: &str = "WHARF_EXCHANGE";
    /// SHA-256 of the exchange's certificate (DER), in hex.
    pub const FINGERPRINT: &str = "WHARF_FINGERPRINT";
    /// The ticket, in hex.
    pub const TICKET: &str = "WHARF_TICKET";
    /// Where the recipe finds the runner: set for the recipe.
    pub const SOCKET: &str = "WHARF_SOCKET";
}

/// In front of the name under which the host, reaching into the container, finds the runner: `attach:RUN-ATTEMPT`.
pub const ATTACH: &str = "attach:";

/// The same for a host that comes in through a port of the container's own loopback: `attach-port:7411`.
pub const ATTACH_BY_PORT: &str = "attach-port:";

/// That port. A pod has a loopback of its own, so it is the same for all.
pub const ATTACH_PORT: u16 = 7411;

/// Where the runner and the in-container libraries are in an image.
pub const INSIDE: &str = "/opt/wharf";
/// The runner in an image.
pub const RUNNER: &str = "/opt/wharf/bin/wharf-runner";

/// The largest line that travels in one piece; longer ones are split.
pub const MAX_LINE: usize = 4 << 20;

/// What the runner has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The run.
    pub run: String,
    /// The attempt.
    pub attempt: u32,
    /// The command.
    pub argv: Vec<String>,
    /// Its environment, over the image's own.
    pub env: BTreeMap<String, String>,
    /// More of it: the values of secrets, by variable. The runner hides them in the log.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "crate::secret::in_task")]
    pub secrets: BTreeMap<String, SecretValue>,
    /// Files to write into the working folder first.
    pub files: Vec<TaskFile>,
    /// What the recipe's libraries may know.
    pub context: Context,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u32,
    /// Seconds between asking the recipe to end and ending it.
    pub grace_seconds: u32,
    /// How log lines are kept until the host has them.
    #[serde(default)]
    pub logs: LogSettings,
}

/// A file to write before the command starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Relative to the working folder.
    pub path: String,
    /// Its contents, base64.
    pub base64: String,
    /// Whether it gets the execute bit.
    pub executable: bool,
}

/// What the recipe's libraries may know of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The run.
    pub run: String,
    /// The project's key; empty when there is none.
    pub project: String,
    /// The execution configuration.
    pub configuration: String,
    /// The project's variables.
    pub variables: BTreeMap<String, String>,
    /// The recipe's parameters.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// What it reads.
    pub inputs: Vec<ContextBinding>,
    /// What it writes.
    pub outputs: Vec<ContextBinding>,
}

/// A name that the recipe may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextBinding {
    /// The name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// `dataset` or `folder`.
    pub kind: crate::activity::BindingKind,
}

/// The runner is up and has its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The runner's version.
    pub version: String,
    /// The memory limit that the container's cgroup shows, in bytes.
    pub memory_limit: Option<u64>,
}

/// What the run uses. Peaks are the highest seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Bytes now, as the container's cgroup counts them.
    pub memory: u64,
    /// Bytes at the most.
    pub memory_peak: u64,
    /// CPU seconds so far.
    pub cpu_seconds: f64,
    /// How often the kernel killed something of this container for memory.
    pub oom_kills: u64,
    /// How often the container was at its own memory limit, where the kernel counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_hits: Option<u64>,
    /// How often the kernel refused a new process or thread because of the container's `pids-limit`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub process_refusals: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How far the recipe has come, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advance {
    /// What was just done, for a person.
    pub text: String,
    /// How much is done, in whatever the recipe counts.
    pub done: u64,
    /// Of how much, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// The host's answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAck {
    /// End the recipe: first asking, after the grace time by force.
    pub stop: bool,
}

/// The host's answer to log frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAck {
    /// The next sequence number that the host wants: all before it are kept.
    pub next: u64,
}

/// How the recipe's process ended, and what the runner knows of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunnerResult {
    /// The exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The command could not be started at all: why.
    pub start_error: Option<String>,
    /// The runner ended it, because the host or the engine asked.
    pub stopped: bool,
    /// How many log frames there were.
    pub log_frames: u64,
    /// How many of them were dropped, since there was no room for them while the host was away.
    #[serde(default)]
    pub log_dropped: u64,
    /// How many bytes of lines in the others.
    pub log_bytes: u64,
    /// SHA-256 over the others as they crossed, in hex: of the host's whole log file, when nothing else is missing.
    pub log_sha256: String,
    /// The last usage.
    pub usage: Usage,
}

/// What the host received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Bytes of the body.
    pub bytes: u64,
    /// SHA-256 of the body, in hex; the runner compares it with its own.
    pub sha256: String,
    /// Rows, for a dataset.
    pub rows: Option<u64>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable: `unknown-dataset`, `not-an-output`, `bad-path`, `bad-rows`, ...
    pub code: String,
    /// One sentence, which the recipe's library raises as it is.
    pub message: String,
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// With `/` between its elements and none in front.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified: u64,
}

/// The columns of a dataset, with the types that DSS has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schema {
    /// In order.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Any text.
    pub name: String,
    /// `string`, `tinyint`, `smallint`, `int`, `bigint`, `float`, `double`, `boolean`, `date`, `array`, `map`, `object`,
    /// `geopoint` or `geometry`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// The recipe's standard output.
    Stdout,
    /// The recipe's standard error.
    Stderr,
    /// The runner's own words.
    Runner,
}

/// Log frames: `seq: u64, at: u64, stream: u8, flags: u8, len: u32`, little-endian, then `len` bytes.
pub mod frame {
    use super::Stream;

    /// The length of a frame's fixed part.
    pub const HEADER: usize = 22;
    /// The line goes on in the next frame of this stream.
    pub const CONTINUES: u8 = 1;

    /// One line, or one piece of a line that is longer than [`super::MAX_LINE`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Frame {
        /// Counts from 0 over all streams of an attempt. A number that is left out is a frame that was dropped.
        pub seq: u64,
        /// Milliseconds since 1970, by the container's clock: for people, never compared.
        pub at: u64,
        /// Where it came from.
        pub stream: Stream,
        /// [`CONTINUES`] or 0.
        pub flags: u8,
        /// Without its newline.
        pub bytes: Vec<u8>,
    }

    /// A [`Frame`] where it lies in a buffer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FrameRef<'a> {
        /// As in [`Frame`].
        pub seq: u64,
        /// As in [`Frame`].
        pub at: u64,
        /// As in [`Frame`].
        pub stream: Stream,
        /// As in [`Frame`].
        pub flags: u8,
        /// As in [`Frame`].
        pub bytes: &'a [u8],
    }

    impl FrameRef<'_> {
        /// How many bytes it takes.
        #[must_use]
        pub fn size(self) -> usize {
            HEADER + self.bytes.len()
        }

        /// A copy that needs no buffer.
        #[must_use]
        pub fn to_frame(self) -> Frame {
            let Self { seq, at, stream, flags, bytes } = self;
            Frame { seq, at, stream, flags, bytes: bytes.to_vec() }
        }
    }

    impl Frame {
        /// The frame, for a look.
        #[must_use]
        pub fn as_ref(&self) -> FrameRef<'_> {
            let Self { seq, at, stream, flags, bytes } = self;
            FrameRef { seq: *seq, at: *at, stream: *stream, flags: *flags, bytes }
        }
    }

    /// Bytes that aren't a frame.
    #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
    pub enum FrameError {
        /// An unknown stream.
        #[error("a log frame names the stream {0}, which doesn't exist")]
        Stream(u8),
        /// A line over the limit.
        #[error("a log frame claims {0} bytes, more than a line may have")]
        TooLong(u32),
    }

    /// A frame's fixed part.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Header {
        /// As in [`Frame`].
        pub seq: u64,
        /// As in [`Frame`].
        pub at: u64,
        /// As in [`Frame`].
        pub stream: Stream,
        /// As in [`Frame`].
        pub flags: u8,
        /// How many bytes follow.
        pub len: usize,
    }

    impl Header {
        /// Reads a frame's fixed part.
        ///
        /// # Errors
        /// The bytes can't be one.
        pub fn read(bytes: &[u8; HEADER]) -> Result<Self, FrameError> {
            let [s0, s1, s2, s3, s4, s5, s6, s7, a0, a1, a2, a3, a4, a5, a6, a7, stream, flags, l0, l1, l2, l3] =
                *bytes;
            let stream = match stream {
                1 => Stream::Stdout,
                2 => Stream::Stderr,
                3 => Stream::Runner,
                other => return Err(FrameError::Stream(other)),
            };
            let len = u32::from_le_bytes([l0, l1, l2, l3]);
            if len as usize > super::MAX_LINE {
                return Err(FrameError::TooLong(len));
            }
            Ok(Self {
                seq: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
                at: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
                stream,
                flags,
                len: len as usize,
            })
        }
    }

    /// Appends a frame to a buffer.
    pub fn encode(frame: FrameRef<'_>, out: &mut Vec<u8>) {
        let stream = match frame.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::Runner => 3,
        };
        out.reserve(frame.size());
        out.extend_from_slice(&frame.seq.to_le_bytes());
        out.extend_from_slice(&frame.at.to_le_bytes());
        out.extend_from_slice(&[stream, frame.flags]);
        // Lines are split at MAX_LINE, far below u32.
        out.extend_from_slice(&u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(frame.bytes);
    }

    /// The first frame of a buffer, or `None` when it isn't whole yet.
    ///
    /// # Errors
    /// The bytes can't be a frame.
    pub fn decode(buffer: &[u8]) -> Result<Option<FrameRef<'_>>, FrameError> {
        let Some((header, rest)) = buffer.split_first_chunk::<HEADER>() else { return Ok(None) };
        let Header { seq, at, stream, flags, len } = Header::read(header)?;
        Ok(rest.get(..len).map(|bytes| FrameRef { seq, at, stream, flags, bytes }))
    }

    /// How many bytes of a buffer are whole frames.
    ///
    /// # Errors
    /// There is something else among them.
    pub fn whole(buffer: &[u8]) -> Result<usize, FrameError> {
        let mut at = 0;
        while let Some(frame) = decode(&buffer[at..])? {
            at += frame.size();
        }
        Ok(at)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn frames_survive_the_way() {
            let frame =
                Frame { seq: 7, at: 9, stream: Stream::Stderr, flags: CONTINUES, bytes: b"line\0\xff".to_vec() };
            let mut bytes = Vec::new();
            encode(frame.as_ref(), &mut bytes);
            assert_eq!(decode(&bytes[..bytes.len() - 1]), Ok(None));
            let len = bytes.len();
            bytes.extend_from_slice(b"next");
            assert_eq!(decode(&bytes).map(|found| found.map(FrameRef::to_frame)), Ok(Some(frame)));
            assert_eq!(whole(&bytes), Ok(len));
        }

        #[test]
        fn a_claimed_size_is_not_believed() {
            let mut bytes = vec![0; HEADER];
            bytes[16] = 1;
            bytes[18..22].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(decode(&bytes), Err(FrameError::TooLong(u32::MAX)));
        }
    }
}
