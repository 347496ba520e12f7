//! A stream to a command in a running container.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wharf_model::launch::{BackendError, Duplex};

use crate::client::Client;

impl Client {
    /// Starts a command in a running container; its standard error goes into our own log.
    ///
    /// The stream ends when the command closes its output, so it doesn't say how the command ended. Shutting our side down
    /// ends the command's standard input alone. So does dropping the stream, and a lost connection: Docker doesn't end a
    /// command whose client is gone, which must see to it by itself.
    pub(crate) async fn exec(&self, id: &str, argv: &[&str], hidden: &[&str]) -> Result<Box<dyn Duplex>, BackendError> {
        let operation = format!("start a command in the container {id}");
        let config = ExecConfig {
            cmd: Some(argv.iter().map(|&word| word.to_owned()).collect()),
            env: Some(hidden.iter().map(|name| format!("{name}=")).collect()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let create = |docker: bollard::Docker| {
            let config = config.clone();
            async move { docker.create_exec(id, config).await }
        };
        let started = async {
            // One that was created and never started costs nothing.
            let created = self.again(create).await?;
            let docker = self.alone().await?;
            docker.start_exec(&created.id, None).await.map_err(|error| self.failure(error))
        };
        match started.await.map_err(|failure| self.backend(&operation, failure))? {
            StartExecResults::Attached { output, input } => {
                Ok(Box::new(Command { output, input, rest: Bytes::new(), container: id.to_owned() }))
            }
            StartExecResults::Detached => {
                Err(BackendError::Refused { operation, reason: "the daemon gave no stream to it".to_owned() })
            }
        }
    }
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Standard input and output of a command.
struct Command {
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Of the last piece of output, what isn't read yet.
    rest: Bytes,
    container: String,
}

impl AsyncRead for Command {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match self.output.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(Some(Ok(LogOutput::StdErr { message }))) => {
                    let words = String::from_utf8_lossy(&message);
                    tracing::debug!(
                        container = self.container,
                        words = words.trim_end(),
                        "a command in a container says"
                    );
                }
                // Without the frame that a command's output has: the daemon's own words, which say why there is no command.
                Poll::Ready(Some(Ok(LogOutput::Console { message }))) => {
                    let words = String::from_utf8_lossy(&message);
                    return Poll::Ready(Err(io::Error::other(format!("the engine says: {}", words.trim()))));
                }
                Poll::Ready(Some(Ok(output))) => self.rest = output.into_bytes(),
            }
        }
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Command {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(cx)
    }
}
