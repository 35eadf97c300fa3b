//! Where rank 0 listens, by argument or by torch's variables.

use anyhow::{Context as _, bail};
use autopipe_trainer::tcp::Master;

use super::Variable;
use crate::args::World;

/// Where torch's ranks meet. torchrun itself listens there, and says so in [`HAS_STORE`].
const HOST: &str = "MASTER_ADDR";
const PORT: &str = "MASTER_PORT";
const HAS_STORE: &str = "TORCHELASTIC_USE_AGENT_STORE";

/// Where rank 0 listens: where the argument says, or where torch's variables do.
///
/// Where torchrun has its own store at that port, it is the next one.
///
/// # Errors
/// If nothing says so, or both do and say something else.
pub(super) fn find(flags: &World, variable: Variable<'_>) -> anyhow::Result<Master> {
    let has_store = variable(HAS_STORE).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let told = match (&flags.master, variable(HOST), variable(PORT)) {
        (Some(flag), Some(host), Some(port)) if !has_store => {
            let told = read(&host, &port)?;
            if told != *flag {
                bail!(
                    "--master {flag} and {HOST}={host} {PORT}={port} are not the same address; leave out \
                     the one that is not meant"
                );
            }
            told
        }
        (Some(flag), _, _) => return Ok(flag.clone()),
        (None, Some(host), Some(port)) => read(&host, &port)?,
        (None, None, None) => bail!(
            "nothing says where rank 0 is; give all processes --master HOST:PORT, or set {HOST} and \
             {PORT}"
        ),
        (None, Some(_), None) => {
            bail!("{HOST} is set and {PORT} is not; set both, or give --master")
        }
        (None, None, Some(_)) => {
            bail!("{PORT} is set and {HOST} is not; set both, or give --master")
        }
    };
    if !has_store {
        return Ok(told);
    }
    let port = told.port.checked_add(1);
    let port = port.with_context(|| {
        format!("torchrun has {PORT}={} for itself, and there is no next; give --master", told.port)
    })?;
    Ok(Master { port, ..told })
}

fn read(host: &str, port: &str) -> anyhow::Result<Master> {
    let (host, port) = (host.trim(), port.trim());
    let text =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    text.parse().with_context(|| format!("{HOST}={host} {PORT}={port} are no address"))
}
