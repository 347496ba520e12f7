//! Whether an address is reached from inside of a container: for those who set an engine up.

use std::io::Write;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::{UNREACHABLE, complain};

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to `HOST:PORT`, sends nothing, and says how that went.
pub(crate) async fn reach(address: &str) -> u8 {
    let reason = match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => {
            let _ = writeln!(std::io::stdout(), "{address} answers");
            return 0;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    complain(&format!("{address} can't be reached: {reason}"));
    UNREACHABLE
}
