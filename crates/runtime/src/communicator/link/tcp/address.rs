//! Where rank 0 listens, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;

use super::MeetingError;

/// Where rank 0 listens and all others come: a host and a port, `10.0.0.1:29500`, `[fd00::1]:29500` or
/// `node-1:29500`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What is no address of rank 0.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is not HOST:PORT with a port from 1 to 65535, such as 10.0.0.1:29500 or [fd00::1]:29500"
)]
pub struct NoMaster {
    /// What was given.
    pub text: String,
}

impl FromStr for Master {
    type Err = NoMaster;

    fn from_str(text: &str) -> Result<Self, NoMaster> {
        let wrong = || NoMaster { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // Without brackets nobody knows which colon is the last of the address.
        if host.is_empty() || (bare.is_none() && host.contains([':', '[', ']'])) {
            return Err(wrong());
        }
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Master {
    /// What its name stands for here and now.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, MeetingError> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        found.map(Iterator::collect).map_err(|source| self.unknown(source))
    }

    fn unknown(&self, source: std::io::Error) -> MeetingError {
        MeetingError::UnknownHost { master: self.clone(), source }
    }

    /// Whether no other machine can come there.
    pub(super) fn is_loopback(&self) -> bool {
        let address: Option<IpAddr> = self.host.parse().ok();
        self.host == "localhost" || address.is_some_and(|address| address.is_loopback())
    }

    /// Listens there. A name may stand for another address elsewhere, and an address for this machine
    /// without being one of its own: then at all of the machine's.
    pub(super) fn listen(&self) -> Result<TcpListener, MeetingError> {
        let address: Option<IpAddr> = self.host.parse().ok();
        let listened = match address {
            Some(ip) => TcpListener::bind((ip, self.port)).or_else(|error| match error.kind() {
                std::io::ErrorKind::AddrNotAvailable => self.listen_everywhere(),
                _ => Err(error),
            }),
            None if self.is_loopback() => TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)),
            None => self.listen_everywhere(),
        };
        listened.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => MeetingError::InUse { master: self.clone() },
            _ => MeetingError::Listen { at: self.to_string(), source },
        })
    }

    fn listen_everywhere(&self) -> std::io::Result<TcpListener> {
        // Where there is IPv6, this is both.
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, self.port)).or_else(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Err(error),
            _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port)),
        })
    }
}
